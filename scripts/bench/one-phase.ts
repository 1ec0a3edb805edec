import { BenchGroup, RawGroup, slaveCount, type BenchOptions } from './group.js';
import { repeats, spreadOf, type Figure } from './measure.js';

/** One message is one change of one value. The smallest are packed: several to a datagram. */
const sizes = [256, 1400, 8000] as const;
/** As many changes wait at once as a server has requests. */
const callers = 64;
/** Of the plain rate, at the least. */
const leastShare = 0.8;

export interface OnePhaseOf {
  readonly messageBytes: number;
  /** What the slowest of the three slaves exposes; and what all three plain receivers got, in turns with it. */
  readonly messagesPerSecond: readonly number[];
  readonly plainPerSecond: readonly number[];
  /** Of the plain datagrams. */
  readonly lostShare: number;
}

export type OnePhaseResult = readonly OnePhaseOf[];

export async function measureOnePhase(options: BenchOptions, seconds: number): Promise<OnePhaseResult> {
  const group = await BenchGroup.start(options);
  const raw = await RawGroup.start(options);
  const results: OnePhaseOf[] = [];
  for (const messageBytes of sizes) results.push(await measureOne(group, raw, { messageBytes, seconds }));
  await group.assertEqual();
  await raw.end();
  await group.end();
  return results;
}

async function measureOne(
  group: BenchGroup,
  raw: RawGroup,
  { messageBytes, seconds }: { readonly messageBytes: number; readonly seconds: number },
): Promise<OnePhaseOf> {
  const flood = { receivers: slaveCount, messageBytes };
  await raw.sender.ask('flood', { ...flood, seconds: Math.min(0.5, seconds) });
  await announce(group, messageBytes, seconds);
  const messagesPerSecond: number[] = [];
  const plainPerSecond: number[] = [];
  let sent = 0;
  let lost = 0;
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const plain = await raw.sender.ask('flood', { ...flood, seconds });
    plainPerSecond.push(plain.messages / plain.seconds);
    sent += plain.datagrams;
    lost += plain.lost;
    messagesPerSecond.push(await announce(group, messageBytes, seconds));
  }
  return { messageBytes, messagesPerSecond, plainPerSecond, lostShare: lost / sent };
}

/** From the first change until the slowest slave exposes the last one. */
async function announce(group: BenchGroup, valueBytes: number, seconds: number): Promise<number> {
  const startedMs = performance.now();
  const { updates, version } = await group.master.ask('announce', { callers, valueBytes, seconds });
  await group.reached(version);
  return (updates * 1000) / (performance.now() - startedMs);
}

export function onePhaseFigures(results: OnePhaseResult): readonly Figure[] {
  return results.flatMap(({ messageBytes, messagesPerSecond, plainPerSecond, lostShare }): readonly Figure[] => {
    const shares = messagesPerSecond.map((rate, index) => rate / (plainPerSecond[index] ?? rate));
    const loss = lostShare > 0 ? { note: `${(lostShare * 100).toFixed(2)} % lost` } : {};
    return [
      {
        name: `one-phase changes of ${messageBytes.toLocaleString('en')} B, exposed at all three`,
        unit: 'updates/s',
        spread: spreadOf(messagesPerSecond),
      },
      { name: '… plain datagrams of that size', unit: 'updates/s', spread: spreadOf(plainPerSecond), ...loss },
      {
        name: '… share of the plain rate, median of the pairs',
        unit: 'ratio',
        spread: spreadOf([spreadOf(shares).median]),
        target: { kind: 'at least', value: leastShare },
      },
    ];
  });
}
