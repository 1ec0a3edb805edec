import type { Command } from 'commander';
import { exitCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
import type { MasterDataSetBody, MemberBody } from '../shared/http/bodies.js';
import { clientOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import type { Shell } from './shell.js';
import { memberState, selectDataSet, versionText } from './status-text.js';
import { nothing, tableText } from './table.js';

const head = ['node', 'state', 'version', 'heard', 'round trip', 'repairs', 'snapshots', 'last no'];

export function addMembers(program: Command, shell: Shell): void {
  withNodeFlags(program.command('members').description('show the registered members, as the master knows them')).action(
    ending(shell, async (flags: NodeFlags) => {
      const client = clientOf(flags, shell);
      const status = selectDataSet(await client.status(), flags.dataSet);
      if (status.role !== 'master')
        throw new LockstepError(
          'bad-option',
          `--to ${client.url} is the slave ${status.node}; only the master knows the members`,
        );
      const members = status.dataSets.map((dataSet) => ({ dataSet: dataSet.dataSet, members: dataSet.members }));
      shell.out(flags.json === true ? JSON.stringify(members) : membersText(status.dataSets));
      return exitCodes.ok;
    }),
  );
}

export function membersText(dataSets: readonly MasterDataSetBody[]): string {
  return dataSets
    .map(
      ({ dataSet, members }) =>
        `${dataSets.length > 1 ? `${dataSet}\n` : ''}${members.length === 0 ? 'no members yet' : tableText(head, members.map(row))}`,
    )
    .join('\n\n');
}

function row(member: MemberBody): readonly string[] {
  const heard = member.heardMsAgo === null ? nothing : `${Math.round(member.heardMsAgo)} ms ago`;
  const roundTrip = member.roundTripMs === null ? nothing : `${member.roundTripMs} ms`;
  const lastNo =
    member.lastVote === null || member.lastVote.yes
      ? nothing
      : `v${member.lastVote.version}: ${member.lastVote.reason}`;
  return [
    member.node,
    memberState(member),
    versionText(member.tip),
    heard,
    roundTrip,
    String(member.repairs),
    String(member.snapshots),
    lastNo,
  ];
}
