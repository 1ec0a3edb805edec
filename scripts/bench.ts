import { resolve } from 'node:path';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { errorText } from '../shared/protocol/kernel/errors.js';
import { measureCatchUp } from './bench/catch-up.js';
import { measureMassStart, type MassStart } from './bench/mass-start.js';
import { measureFanOut } from './bench/fan-out.js';
import { measureOnePhase } from './bench/one-phase.js';
import { compileForBench } from './bench/compile.js';
import { BenchGroup, benchKeys, RawGroup, type BenchOptions } from './bench/group.js';
import {
  batch,
  callers,
  measureLatency,
  measureMemory,
  measureRaw,
  measureSecurity,
  measureThroughput,
  repeats,
} from './bench/measure.js';
import { compare, isMet, peersText } from './bench/peers/compare.js';
import { etcd } from './bench/peers/etcd.js';
import { jetStream } from './bench/peers/jetstream.js';
import { lockstep } from './bench/peers/lockstep.js';
import type { Peer } from './bench/peers/peer.js';
import { redis } from './bench/peers/redis.js';
import { figuresOf, figuresText, machine, memoryText, missedTargets, type Results } from './bench/report.js';
import { workload } from './bench/tasks.js';

/**
 * `npm run bench [-- throughput|latency|raw|memory|peers] [--seconds N] [--updates N] [--json] [--profile FOLDER]`. Exit code 0
 * when it measured, whatever the figures; with `--strict` 3 when one misses its target.
 */
const parts = ['throughput', 'latency', 'raw', 'memory', 'security'] as const;
type Part = (typeof parts)[number];
/** Only when asked for: they take minutes. */
const largeParts = ['one-phase', 'fan-out', 'catch-up', 'mass-start'] as const;
type LargePart = (typeof largeParts)[number];
/** Only when asked for: it takes minutes, and other products. */
const peersPart = 'peers';

interface Flags {
  readonly seconds: number;
  readonly updates: number;
  readonly slaves?: readonly number[];
  readonly keys: number;
  readonly json?: true;
  readonly strict?: true;
  readonly profile?: string;
}

const exitOfMissedTarget = 3;

const command = new Command('bench')
  .description('Measures one master and three slaves, each a process of its own, on loopback multicast, in memory.')
  .addArgument(
    new Argument('[part]', 'what to measure; all of it when left out').choices([...parts, ...largeParts, peersPart]),
  )
  .addOption(new Option('--seconds <n>', 'of each repeat').default(3).argParser(within(0.1, 60)))
  .addOption(new Option('--updates <n>', 'of the memory run').default(3_000_000).argParser(within(10_000, 100_000_000)))
  .addOption(
    new Option(
      '--slaves <list>',
      'sizes of groups, such as 1,3,30,100 (fan-out), 100,1000 (mass-start), 100 (at once, catch-up)',
    ).argParser(groupSizes),
  )
  .addOption(new Option('--keys <n>', 'of the catch-up run').default(1_000_000).argParser(within(1000, 10_000_000)))
  .option('--json', 'print one JSON document, and nothing else')
  .option('--strict', `exit with ${exitOfMissedTarget} when a figure misses its target`)
  .option('--profile <folder>', 'write a CPU profile of each process there')
  .parse();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
const chosen = [...parts, ...largeParts].find((part) => part === command.args[0]);
try {
  const flags = command.opts<Flags>();
  process.exit(command.args[0] === peersPart ? await runPeers(flags) : await run(chosen ?? parts, flags));
} catch (error) {
  process.stderr.write(`bench: ${errorText(error)}\n`);
  process.exit(1);
}

async function run(chosenPart: Part | LargePart | readonly Part[], flags: Flags): Promise<number> {
  const say = (text: string): void => {
    if (flags.json !== true) process.stdout.write(`${text}\n`);
  };
  const compiled = await compileForBench();
  const options = { compiled, ...(flags.profile === undefined ? {} : { profileFolder: resolve(flags.profile) }) };
  const { cpu, cores, memoryGiB, node } = machine();
  say(`${cores} × ${cpu}, ${memoryGiB} GiB, Node ${node}`);
  say(
    `values of ${workload.valueBytes} B, ${workload.keys.toLocaleString('en')} keys, batches of ${batch.toLocaleString('en')} from ${callers} callers, ${repeats} repeats of ${flags.seconds} s\n`,
  );
  let results: Results = {};
  for (const part of [chosenPart].flat()) results = { ...results, ...(await measure(part, options, flags)) };
  const figures = figuresOf(results);
  if (flags.json === true)
    process.stdout.write(`${JSON.stringify({ machine: machine(), workload, figures, results })}\n`);
  else {
    say(figuresText(figures));
    if (results.memory !== undefined) say(`\n${memoryText(results.memory)}`);
  }
  return flags.strict === true && missedTargets(figures).length > 0 ? exitOfMissedTarget : 0;
}

/** The same work on other products, as far as they are installed, in turns with Lockstep. */
async function runPeers(flags: Flags): Promise<number> {
  const installed: { readonly peer: Peer; readonly version: string }[] = [];
  for (const peer of [redis, etcd, jetStream]) {
    const version = await peer.version();
    if (version === null) progress(`${peer.name} is not installed: apt-get install ${peer.packageName}`);
    else installed.push({ peer, version });
  }
  const own = lockstep({ compiled: await compileForBench() });
  const products = [own, ...installed.map(({ peer }) => peer)];
  const figures = await compare({ products, seconds: flags.seconds, repeats, say: progress });
  const versions = installed.map(({ peer, version }) => ({ name: peer.name, version }));
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ machine: machine(), workload, versions, figures })}\n`);
  } else {
    const { cpu, cores, memoryGiB, node } = machine();
    const named = versions.map(({ name, version }) => `${name} (${version})`).join(', ');
    process.stdout.write(`${cores} × ${cpu}, ${memoryGiB} GiB, Node ${node}; ${named}\n\n${peersText(figures)}\n`);
  }
  return flags.strict === true && !figures.every(isMet) ? exitOfMissedTarget : 0;
}

/** Each part on processes of its own, so that none inherits what another left. */
async function measure(
  part: Part | LargePart,
  options: BenchOptions,
  { seconds, updates, slaves, keys }: Flags,
): Promise<Results> {
  if (part === 'mass-start') {
    const massStart: MassStart[] = [];
    for (const size of slaves ?? [100, 1000]) massStart.push(await measureMassStart(size));
    return { massStart };
  }
  if (part === 'catch-up') {
    const many = slaves?.at(-1) ?? 100;
    return { catchUp: await measureCatchUp(options, { keys, slaves: many, seconds, say: progress }) };
  }
  if (part === 'one-phase') return { onePhase: await measureOnePhase(options, seconds) };
  if (part === 'fan-out')
    return { fanOut: await measureFanOut(options, { seconds, groups: slaves ?? [1, 3, 30, 100], say: progress }) };
  if (part === 'raw') {
    const raw = await RawGroup.start(options);
    const result = await measureRaw(raw, seconds);
    await raw.end();
    return { raw: result };
  }
  if (part === 'security') {
    const groups = [
      await BenchGroup.start(options),
      await BenchGroup.start({ ...options, keys: benchKeys() }),
    ] as const;
    const security = await measureSecurity(...groups, seconds);
    for (const group of groups) await group.end();
    return { security };
  }
  const bench = await BenchGroup.start(options);
  const result = await measureGroup(part, bench, { seconds, updates });
  await bench.end();
  return result;
}

async function measureGroup(
  part: Exclude<Part, 'raw' | 'security'>,
  bench: BenchGroup,
  { seconds, updates }: { readonly seconds: number; readonly updates: number },
): Promise<Results> {
  switch (part) {
    case 'throughput':
      return { throughput: await measureThroughput(bench, seconds) };
    case 'latency':
      return { latency: await measureLatency(bench, seconds) };
    case 'memory':
      return { memory: await measureMemory(bench, updates) };
  }
}

/** Beside the table, so that `--json` stays one document. */
function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

function groupSizes(text: string): readonly number[] {
  const sizes = text.split(',').map(within(1, 1000));
  if (sizes.every(Number.isInteger)) return sizes;
  throw new InvalidArgumentError('give whole numbers with commas between them, such as 1,3,30');
}

function within(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isFinite(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`give a number from ${least} to ${most}`);
  };
}
