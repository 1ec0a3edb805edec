import type { Command } from 'commander';
import { exitCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
import type { PastRoundBody } from '../shared/http/bodies.js';
import { httpBounds } from '../shared/http/bounds.js';
import type { Client } from './client.js';
import { clientOf, dataSetOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import { roundArgument, type RoundArgument } from './flags.js';
import type { Shell } from './shell.js';

export function addRollBack(program: Command, shell: Shell): void {
  withNodeFlags(
    program
      .command('roll-back')
      .description('end a round that is still open: its change reaches nobody; ask the master'),
  )
    .argument('<round>', 'its version, or its name, as history shows them', roundArgument)
    .action(
      ending(shell, async (round: RoundArgument, flags: NodeFlags) => {
        const client = clientOf(flags, shell);
        const dataSet = await dataSetOf(flags, client);
        const version = 'version' in round ? round.version : await versionOfRound(client, dataSet, round.name);
        await client.rollBack(dataSet, version).catch(async (error: unknown) => {
          throw await explained(error, client, dataSet, version);
        });
        shell.out(
          flags.json === true
            ? JSON.stringify({ dataSet, rolledBack: version })
            : `version ${version} is rolled back; nobody shows it`,
        );
        return exitCodes.ok;
      }),
    );
}

async function versionOfRound(client: Client, dataSet: string, name: string): Promise<number> {
  const { rounds } = await client.rounds(dataSet, httpBounds.rounds);
  const found = rounds.find(({ round }) => round === name);
  if (found !== undefined) return found.version;
  throw new LockstepError(
    'round-unknown',
    `${client.url} knows no round ${name} of ${dataSet}; lockstep history lists them`,
  );
}

/** Why it can't be taken back, and what can be done instead. */
async function explained(error: unknown, client: Client, dataSet: string, version: number): Promise<unknown> {
  if (!(error instanceof LockstepError) || !['already-decided', 'round-unknown'].includes(error.code)) return error;
  const rounds = await client.rounds(dataSet, httpBounds.rounds).then(
    (history) => history.rounds,
    (): readonly PastRoundBody[] => [],
  );
  const round = rounds.find((each) => each.version === version);
  if (round !== undefined && round.outcome !== 'committed' && round.outcome !== 'open') {
    return new LockstepError(
      'already-decided',
      `version ${version} was ${round.outcome} already (${round.reason ?? 'no reason'}); there is nothing to roll back`,
    );
  }
  if (error.code === 'already-decided') {
    return new LockstepError(
      'already-decided',
      `version ${version} is committed and can't be rolled back; put what should be there instead, as a newer version (lockstep diff --from ${version - 1} --until ${version} shows what it put)`,
    );
  }
  return error;
}
