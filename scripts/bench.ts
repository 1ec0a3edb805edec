import { resolve } from 'node:path';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { errorText } from '../shared/protocol/kernel/errors.js';
import { measureActivation } from './bench/activation.js';
import { measureCatchUp } from './bench/catch-up.js';
import { endChildren } from './bench/child.js';
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
import { measurePeers } from './bench/peers/run.js';
import { figuresOf, figuresText, holds, machine, memoryText, missedTargets, type Results } from './bench/report.js';
import { workload } from './bench/tasks.js';

/**
 * `npm run bench [-- PART…] [--quick] [--seconds N] … [--json] [--profile FOLDER]`: everything, or the parts that are named. Exit
 * code 0 when it measured, whatever the figures; 1 when a part couldn't be measured; with `--strict` 3 when one misses its target.
 */
const groupParts = ['throughput', 'latency', 'memory'] as const;
const parts = [
  ...groupParts,
  'raw',
  'one-phase',
  'security',
  'fan-out',
  'catch-up',
  'mass-start',
  'activation',
  'peers',
] as const;
type Part = (typeof parts)[number];

interface Flags {
  readonly seconds: number;
  readonly updates: number;
  readonly slaves?: readonly number[];
  readonly keys: number;
  readonly quick?: true;
  readonly json?: true;
  readonly strict?: true;
  readonly profile?: string;
}

const exitOfMissedTarget = 3;
const quick = { seconds: 0.3, updates: 60_000, keys: 20_000 } as const;

const command = new Command('bench')
  .description('Measures one master and three slaves, each a process of its own, on loopback multicast, in memory.')
  .addArgument(new Argument('[parts...]', 'what to measure; all of it when left out').choices(parts))
  .option('--quick', 'shows that everything runs, in short: the figures mean little')
  .addOption(new Option('--seconds <n>', 'of each repeat').default(3).argParser(within(0.1, 60)))
  .addOption(new Option('--updates <n>', 'of the memory run').default(3_000_000).argParser(within(10_000, 100_000_000)))
  .addOption(
    new Option(
      '--slaves <list>',
      'sizes of groups, such as 1,3,30,100 (fan-out, activation), 100,1000 (mass-start), 100 (at once, catch-up)',
    ).argParser(groupSizes),
  )
  .addOption(new Option('--keys <n>', 'of the catch-up run').default(1_000_000).argParser(within(1000, 10_000_000)))
  .option('--json', 'print one JSON document, and nothing else')
  .option('--strict', `exit with ${exitOfMissedTarget} when a figure misses its target`)
  .option('--profile <folder>', 'write a CPU profile of each process there')
  .parse();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
try {
  process.exit(await run(command.args.length === 0 ? parts : parts.filter((part) => command.args.includes(part))));
} catch (error) {
  process.stderr.write(`bench: ${errorText(error)}\n`);
  process.exit(1);
}

async function run(chosen: readonly Part[]): Promise<number> {
  const given = command.opts<Flags>();
  const flags = given.quick === true ? { ...given, ...quick } : given;
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
  // A part that fails says so at the end, and takes nothing with it that others have measured for half an hour.
  const failures: { readonly part: Part; readonly reason: string }[] = [];
  for (const part of chosen) {
    try {
      results = { ...results, ...(await measure(part, options, flags)) };
    } catch (error) {
      failures.push({ part, reason: errorText(error) });
      progress(`${part} failed: ${errorText(error)}`);
      await endChildren();
    }
  }
  const figures = figuresOf(results);
  if (flags.json === true) {
    const rows = figures.map((figure) => ({ ...figure, holds: holds(figure) }));
    process.stdout.write(`${JSON.stringify({ machine: machine(), workload, figures: rows, failures, results })}\n`);
  } else {
    say(figuresText(figures));
    for (const { name, version } of results.peers?.versions ?? []) say(`${name}: ${version}`);
    if (results.memory !== undefined) say(`\n${memoryText(results.memory)}`);
  }
  for (const { part, reason } of failures) say(`\n✗ ${part} was not measured: ${reason}`);
  if (failures.length > 0) return 1;
  return flags.strict === true && missedTargets(figures).length > 0 ? exitOfMissedTarget : 0;
}

/** Each part on processes of its own, so that none inherits what another left. */
async function measure(
  part: Part,
  options: BenchOptions,
  { seconds, updates, slaves, keys, quick: short }: Flags,
): Promise<Results> {
  progress(part);
  if (part === 'peers') return { peers: await measurePeers(options, { seconds, keys, say: progress }) };
  if (part === 'mass-start') {
    const massStart: MassStart[] = [];
    for (const size of slaves ?? (short === true ? [100] : [100, 1000])) massStart.push(await measureMassStart(size));
    return { massStart };
  }
  if (part === 'catch-up') {
    const many = slaves?.at(-1) ?? (short === true ? 10 : 100);
    return { catchUp: await measureCatchUp(options, { keys, slaves: many, seconds, say: progress }) };
  }
  if (part === 'activation') {
    const groups = slaves ?? (short === true ? [3] : [3, 30, 100]);
    return {
      activation: await measureActivation(options, { groups, activations: short === true ? 2 : 15, say: progress }),
    };
  }
  if (part === 'one-phase') return { onePhase: await measureOnePhase(options, seconds) };
  if (part === 'fan-out')
    return {
      fanOut: await measureFanOut(options, {
        seconds,
        groups: slaves ?? (short === true ? [1, 3] : [1, 3, 30, 100]),
        say: progress,
      }),
    };
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
  part: (typeof groupParts)[number],
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
