import { Command, InvalidArgumentError } from 'commander';
import { errorText } from '../shared/protocol/kernel/errors.js';
import { BadScenario } from '../tests/integration/scenarios/player/place.js';
import type { Report } from '../tests/integration/scenarios/player/replay.js';
import { replayFile } from '../tests/integration/scenarios/player/replay.js';

/** Plays scenario files: `npm run replay -- FILE.yaml`. The same file and seed give the same run, on every machine. */
interface ReplayFlags {
  readonly real: boolean;
  readonly json: boolean;
  readonly trace: boolean;
  readonly seed?: number;
}

const exitOf = { passed: 0, skipped: 0, failed: 1, impossible: 2 } as const;

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('give a whole number of at least 1');
  return value;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function replay(file: string, flags: ReplayFlags): Promise<Report> {
  return replayFile(file, {
    real: flags.real,
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    keepTrace: flags.trace,
    tell: flags.json ? () => undefined : say,
  });
}

async function main(): Promise<number> {
  const program = new Command('replay')
    .description('plays scenario files in simulation, or with real processes on loopback multicast')
    .argument('<file...>', 'scenario files, .yaml')
    .option('--real', 'real processes instead of the simulation', false)
    .option('--json', 'one line of JSON for each file', false)
    .option('--seed <seed>', 'this seed alone, in simulation', wholeNumber)
    .option('--trace', 'print everything that happens, in simulation', false)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  program.parse();
  const flags = program.opts<ReplayFlags>();
  let exitCode = 0;
  for (const file of program.args) {
    try {
      const report = await replay(file, flags);
      if (flags.json) say(JSON.stringify(report));
      exitCode = Math.max(exitCode, exitOf[report.result]);
    } catch (error) {
      if (!(error instanceof BadScenario)) throw error;
      process.stderr.write(`${errorText(error)}\n`);
      exitCode = 2;
    }
  }
  return exitCode;
}

process.once('SIGINT', () => process.exit(130));
process.exitCode = await main();
