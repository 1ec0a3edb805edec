import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { describeFailures, runSeed } from '../tests/integration/sim/index.js';
import { campaignOptions, slavesOfSeed } from '../tests/integration/sim/campaign.js';
import { CoverageTable, seedsForCoverage } from '../tests/integration/sim/coverage-table.js';
import type { CoveredCells } from '../tests/integration/sim/coverage.js';
import { defaultFaults, firstFaults } from '../tests/integration/sim/faults.js';

/** Seeds in simulation: `npm run sim -- --seeds 500`. The same seed gives the same run, on every machine. */
interface SimFlags {
  readonly seeds: number;
  readonly from: number;
  readonly seed?: number;
  readonly slaves?: number;
  readonly faults: boolean;
  readonly trace: boolean;
  readonly takeOver: boolean;
  /** Evenly from the first kinds of faults: fewer at once, which the mutation drill is quickest with. */
  readonly even: boolean;
  readonly keys?: boolean;
  readonly worker: boolean;
  /** Stop at the first seed in which this guarantee fails. */
  readonly until?: string;
  readonly processes?: number;
  readonly json: boolean;
}

/**
 * Datagrams and what is made of them live for a moment of virtual time, of which hundreds of nodes have many: with more
 * room for the young they die there, and are not moved first. In MB; a tenth of the time is saved.
 */
const roomForYoung = ['--max-semi-space-size=64'];

/** Below this many seeds one process is soonest done. */
const seedsWorthProcesses = 20;

/** What one process prints per seed for the one that counts. */
interface SeedLine {
  readonly seed: number;
  readonly ok: boolean;
  /** What failed. */
  readonly guarantees: readonly string[];
  readonly virtualMs: number;
  readonly text: string;
  readonly covered: CoveredCells;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('give a whole number');
  return value;
}

function replayCommand(seed: number, flags: SimFlags): string {
  return ['npm run sim --', `--seed ${seed}`, ...passedOn(flags), '--trace'].join(' ');
}

function passedOn(flags: SimFlags): readonly string[] {
  const slaves = flags.slaves === undefined ? [] : ['--slaves', String(flags.slaves)];
  const keys = flags.keys === undefined ? [] : [flags.keys ? '--keys' : '--no-keys'];
  return [
    ...slaves,
    ...(flags.faults ? [] : ['--no-faults']),
    ...(flags.takeOver ? ['--take-over'] : []),
    ...(flags.even ? ['--even'] : []),
    ...keys,
  ];
}

async function runOne(seed: number, flags: SimFlags): Promise<SeedLine> {
  const result = await runSeed(seed, {
    ...(flags.even ? { faults: firstFaults } : campaignOptions(seed)),
    ...(flags.slaves === undefined ? {} : { slaves: flags.slaves }),
    ...(flags.takeOver ? { faults: [...defaultFaults, 'take-over'], swarm: true } : {}),
    ...(flags.faults ? {} : { faults: 'none', swarm: false }),
    ...(flags.keys === undefined ? {} : { keys: flags.keys }),
    keepTrace: flags.trace,
  });
  if (flags.trace) for (const line of result.trace) process.stdout.write(`${line}\n`);
  const { stats, digest, faults, covered } = result;
  const summary = `${stats.commits} commits, ${stats.aborted} aborts, ${stats.crashes} crashes, ${stats.events} events in ${stats.virtualMs} virtual ms, trace ${digest}`;
  const { virtualMs } = stats;
  if (result.ok) return { seed, ok: true, guarantees: [], virtualMs, covered, text: `seed ${seed} passed: ${summary}` };
  const replay = `  replay: ${replayCommand(seed, flags)}`;
  return {
    seed,
    ok: false,
    guarantees: [...new Set(result.failures.map(({ guarantee }) => guarantee))],
    virtualMs,
    covered,
    text: `seed ${seed} FAILED: ${summary}\n  faults: ${faults.join(', ')}\n${indent(describeFailures(result))}\n${replay}`,
  };
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ');
}

async function runHere(seeds: readonly number[], flags: SimFlags, tell: (line: SeedLine) => void): Promise<void> {
  for (const seed of seeds) {
    const line = await runOne(seed, flags);
    tell(line);
    if (endsRun(line, flags)) return;
  }
}

function endsRun(line: SeedLine, { until }: SimFlags): boolean {
  return until !== undefined && line.guarantees.includes(until);
}

/** Another process of this script, with every n-th seed; it prints one JSON line per seed. */
async function runThere(
  seeds: readonly number[],
  flags: SimFlags,
  tell: (line: SeedLine) => void,
  signal: AbortSignal,
): Promise<void> {
  const script = fileURLToPath(import.meta.url);
  const child = spawn(
    process.execPath,
    [...process.execArgv, ...roomForYoung, script, '--worker', ...passedOn(flags), ...seeds.map(String)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const ended = once(child, 'close');
  signal.addEventListener('abort', () => child.kill('SIGKILL'));
  let told = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    tell(JSON.parse(line) as SeedLine);
    told += 1;
  }
  await ended;
  if (signal.aborted) return;
  for (const seed of seeds.slice(told)) {
    tell({
      seed,
      ok: false,
      guarantees: [],
      virtualMs: 0,
      covered: {},
      text: `seed ${seed} FAILED: its process ended before it\n  replay: ${replayCommand(seed, flags)}`,
    });
  }
}

function share(seeds: readonly number[], shares: number): readonly (readonly number[])[] {
  return Array.from({ length: shares }, (_, offset) => seeds.filter((_seed, index) => index % shares === offset));
}

async function main(): Promise<number> {
  const program = new Command('sim')
    .description('runs seeds in simulation, and checks every guarantee')
    .option('--seeds <count>', 'how many', wholeNumber, 100)
    .option('--from <seed>', 'the first', wholeNumber, 1)
    .option('--seed <seed>', 'this one alone', wholeNumber)
    .option('--slaves <count>', 'instead of what the seed draws', wholeNumber)
    .option('--no-faults', 'calm network, sound disks, no crashes')
    .option('--take-over', 'a second master takes over now and then', false)
    .option('--even', 'draw evenly from the first kinds of faults, instead of swarms from all', false)
    .option('--keys', 'encrypt and sign datagrams in every seed; default: in every fifth')
    .option('--no-keys', 'in none')
    .option('--until <guarantee>', 'stop at the first seed that breaks this one, G1 to G16')
    .option('--processes <count>', 'at once; default: one for each processor when there are many seeds', wholeNumber)
    .option('--json', 'print the result as JSON, coverage included', false)
    .option('--trace', 'print everything that happens', false)
    .option('--worker', 'print one JSON line per seed given as an argument', false)
    .argument('[seeds...]', 'seeds, for --worker');
  program.parse();
  const flags = program.opts<SimFlags>();
  if (flags.worker) {
    await runHere(program.args.map(Number), flags, (line) => {
      process.stdout.write(`${JSON.stringify(line)}\n`);
    });
    return 0;
  }
  const asked =
    flags.seed === undefined ? Array.from({ length: flags.seeds }, (_, index) => flags.from + index) : [flags.seed];
  // The largest groups first: the last process to end should have little left.
  const seeds = asked.toSorted((a, b) => slavesOfSeed(b) - slavesOfSeed(a));
  const failed: SeedLine[] = [];
  let passed = 0;
  let virtualMs = 0;
  const coverage = new CoverageTable([...defaultFaults, 'take-over']);
  const say = (text: string): void => {
    if (!flags.json) process.stdout.write(`${text}\n`);
  };
  const startedMs = performance.now();
  const enough = new AbortController();
  const tell = (line: SeedLine): void => {
    if (line.ok) passed += 1;
    else failed.push(line);
    virtualMs += line.virtualMs;
    coverage.add(line.covered);
    const isTold = !line.ok || seeds.length <= seedsWorthProcesses;
    if (isTold) say(line.text);
    else if ((passed + failed.length) % 50 === 0) say(`${passed + failed.length} of ${seeds.length} seeds`);
    if (endsRun(line, flags)) enough.abort();
  };
  const many = seeds.length < seedsWorthProcesses ? 1 : Math.min(availableParallelism(), 8);
  const processes = flags.trace ? 1 : Math.max(1, flags.processes ?? many);
  if (processes === 1) await runHere(seeds, flags, tell);
  else await Promise.all(share(seeds, processes).map((part) => runThere(part, flags, tell, enough.signal)));
  const minutes = (performance.now() - startedMs) / 60_000;
  const hours = virtualMs / 3_600_000;
  // A run that stops early, or that breaks the product on purpose, is no campaign.
  const isCampaign = seeds.length >= seedsForCoverage && flags.faults && flags.until === undefined;
  const empty = isCampaign ? coverage.empty : [];
  if (flags.json) {
    const failures = failed.map(({ seed, guarantees, text }) => ({ seed, guarantees, text }));
    const rate = hours / minutes;
    const result = {
      seeds: seeds.length,
      passed,
      failures,
      hours,
      hoursPerMinute: rate,
      coverage: coverage.json,
      empty,
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return failed.length + empty.length === 0 ? 0 : 1;
  }
  if (seeds.length > 1 && flags.faults) say(coverage.text);
  for (const cell of empty) say(`FAILED: no seed of ${seeds.length} judged this: ${cell}`);
  say(`${hours.toFixed(2)} simulated hours, ${(hours / minutes).toFixed(2)} in each minute`);
  say(`${passed} passed, ${failed.length + empty.length} failed`);
  return failed.length + empty.length === 0 ? 0 : 1;
}

process.exitCode = await main();
