import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { errorText } from '../shared/protocol/kernel/errors.js';
import { DemoGroup } from './demo/processes.js';
import { Screen, type StepReport } from './demo/screen.js';
import { dataSet, Story } from './demo/story.js';
import { readSubject, validatorText } from './demo/subject.js';

/**
 * `npm run demo [-- --input FILE] [--json]`: one master and three slaves as processes of their own on loopback multicast,
 * and what they do about changes, vetoes and crashes. Exit code 0 when each step held, 1 when one didn't or the file is
 * wrong, 130 when interrupted.
 */
/** Some 20 s on a quiet machine; a slow one may take most of this to translate the sources. */
const limitMs = 90_000;
const exitOfInterrupt = 130;

interface Flags {
  readonly input: string;
  readonly json?: true;
}

const command = new Command('demo')
  .description('Shows replication among four processes, step by step.')
  .option('--input <file>', 'NDJSON, or CSV with a header', join(import.meta.dirname, 'demo', 'products.ndjson'))
  .option('--json', 'print one JSON document at the end, and nothing else')
  .parse();

const flags = command.opts<Flags>();
process.exitCode = await run(flags).catch((error: unknown) => {
  process.stderr.write(`demo: ${errorText(error)}\n`);
  return 1;
});

async function run({ input, json }: Flags): Promise<number> {
  const startedMs = performance.now();
  const screen = new Screen({ quiet: json === true });
  const subject = await readSubject(resolve(input));
  const group = await DemoGroup.create({ dataSet, validator: validatorText(subject.field) });
  // Whatever ends this process, its children end first: by a signal, an error, the deadline or the last step.
  process.once('exit', () => group.destroy());
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(exitOfInterrupt));
  const reports: StepReport[] = [];
  const finish = (ok: boolean, ending: string): number => {
    const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
    if (json === true) process.stdout.write(`${JSON.stringify({ ok, seconds, group: group.group, steps: reports })}\n`);
    else screen.line(`${screen.paint(ok ? 'green' : 'red', ending)} in ${seconds} s`);
    return ok ? 0 : 1;
  };
  const deadline = setTimeout(
    () => process.exit(finish(false, `✗ stopped: not done within ${limitMs / 1000} s`)),
    limitMs,
  );
  screen.line(`One master and three slaves, each a process of its own, on multicast ${group.group} (loopback only).`);
  screen.line(`Each keeps its data on disk; slave c refuses negative ${subject.field}.`);
  const ok = await new Story({ group, subject, screen }).tell((report) => reports.push(report));
  clearTimeout(deadline);
  group.destroy();
  return finish(ok, ok ? `✓ all ${reports.length} steps held` : `✗ step ${reports.length} did not hold`);
}
