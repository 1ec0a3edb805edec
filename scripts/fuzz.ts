import { Command, InvalidArgumentError } from 'commander';
import { targets } from '../tests/integration/fuzz/targets.js';
import { runTarget } from '../tests/integration/fuzz/target.js';

/** Random and damaged inputs in any number: `npm run fuzz -- --inputs 1000000`. One seed stands for one chunk of them. */
function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('give a whole number');
  return value;
}

const progressMs = 5000;

async function main(): Promise<number> {
  const names = targets.map(({ target }) => target.name);
  const program = new Command('fuzz')
    .description('feeds what a stranger could send to everything that a stranger can reach')
    .option('--inputs <count>', 'how many in all, shared among the targets', wholeNumber, 50_000)
    .option('--seed <seed>', 'of the first chunk; the next chunks follow on', wholeNumber, Date.now() % 1_000_000_000)
    .option('--target <name>', `one alone: ${names.join(', ')}`);
  program.parse();
  const flags = program.opts<{ inputs: number; seed: number; target?: string }>();
  const chosen = targets.filter(({ target }) => flags.target === undefined || target.name === flags.target);
  if (chosen.length === 0) {
    process.stderr.write(`--target ${flags.target ?? ''} is none; there are ${names.join(', ')}\n`);
    return 2;
  }
  const shares = chosen.reduce((sum, { share }) => sum + share, 0);
  process.stdout.write(`seed ${flags.seed}\n`);
  const startedMs = performance.now();
  let done = 0;
  let failed = 0;
  let toldMs = startedMs;
  const perSecond = (inputs: number, sinceMs: number): string =>
    `${Math.round((inputs * 1000) / (performance.now() - sinceMs))} inputs/s`;
  for (const { target, share } of chosen) {
    const beganMs = performance.now();
    const wanted = Math.ceil((flags.inputs * share) / shares);
    const result = await runTarget(target, {
      inputs: wanted,
      seed: flags.seed,
      onProgress: (inputs) => {
        if (performance.now() - toldMs < progressMs) return;
        toldMs = performance.now();
        const heapMb = Math.round(process.memoryUsage().heapUsed / 1024 / 1024);
        process.stdout.write(
          `${target.name}: ${inputs} of ${wanted}, ${perSecond(inputs, beganMs)}, heap ${heapMb} MiB\n`,
        );
      },
    });
    done += result.inputs;
    if (result.failure !== null) failed += 1;
    const end = result.failure === null ? 'held' : `FAILED\n${result.failure}`;
    const grown = `memory grew by ${(result.grownBytes / 1024 / 1024).toFixed(1)} MiB`;
    process.stdout.write(
      `${target.name}: ${result.inputs} inputs, ${perSecond(result.inputs, beganMs)}, ${grown}: ${end}\n`,
    );
  }
  process.stdout.write(`${done} inputs, ${perSecond(done, startedMs)}\n`);
  process.stdout.write(`${chosen.length - failed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
