import { Option, type Command } from 'commander';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import type { CancellationBody } from '../shared/http/bodies.js';
import { clientOf, dataSetOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import { duration, versionNumber } from './flags.js';
import type { Shell } from './shell.js';

interface CancelFlags extends NodeFlags {
  readonly timeout?: number;
}

export function addCancel(program: Command, shell: Shell): void {
  withNodeFlags(
    program
      .command('cancel')
      .description('take a scheduled change back before its instant, everywhere or not at all; ask the master'),
  )
    .argument('<version>', 'its version, as put --at and status show it', versionNumber)
    .addOption(
      new Option('--timeout <duration>', 'how long to wait for all that may be armed; default: 2s').argParser(duration),
    )
    .action(
      ending(shell, async (version: number, flags: CancelFlags) => {
        const client = clientOf(flags, shell);
        const dataSet = await dataSetOf(flags, client);
        const timeoutMs = flags.timeout === undefined ? undefined : Math.ceil(flags.timeout);
        const cancellation = await client.cancelActivation(dataSet, version, timeoutMs);
        shell.out(flags.json === true ? JSON.stringify({ dataSet, ...cancellation }) : cancellationText(cancellation));
        return cancellation.outcome === 'cancelled' ? exitCodes.ok : exitCodes.aborted;
      }),
    );
}

function cancellationText(cancellation: CancellationBody): string {
  const { version } = cancellation;
  if (cancellation.outcome === 'cancelled') return `version ${version} is cancelled; nobody shows it`;
  const silent = cancellation.missing.join(', ');
  return `not cancelled: ${silent} did not confirm in time, so version ${version} shows at ${cancellation.activateAt}`;
}
