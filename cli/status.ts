import type { Command } from 'commander';
import { exitCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
import type { MasterDataSetBody, MemberBody, SlaveDataSetBody, StatusBody, TipBody } from '../shared/http/bodies.js';
import { clientOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import type { Shell } from './shell.js';
import { nothing, tableText } from './table.js';

const head = ['node', 'role', 'state', 'version', 'behind', 'last vote', 'in doubt'];

export function addStatus(program: Command, shell: Shell): void {
  withNodeFlags(
    program
      .command('status')
      .description('show every node: its role, state and version, what it voted, what it is in doubt about'),
  ).action(
    ending(shell, async (flags: NodeFlags) => {
      const status = selectDataSet(await clientOf(flags, shell).status(), flags.dataSet);
      shell.out(flags.json === true ? JSON.stringify(status) : statusText(status));
      return exitCodes.ok;
    }),
  );
}

/** One table for each data set, under its name when there are several. */
export function statusText(status: StatusBody): string {
  const blocks =
    status.role === 'master'
      ? status.dataSets.map((dataSet) => ({ name: dataSet.dataSet, rows: masterRows(status.node, dataSet) }))
      : status.dataSets.map((dataSet) => ({ name: dataSet.dataSet, rows: [slaveRow(status.node, dataSet)] }));
  return blocks.map(({ name, rows }) => `${blocks.length > 1 ? `${name}\n` : ''}${tableText(head, rows)}`).join('\n\n');
}

export function selectDataSet(status: StatusBody, name: string | undefined): StatusBody {
  if (name === undefined) return status;
  const names = status.dataSets.map((dataSet) => dataSet.dataSet);
  if (!names.includes(name))
    throw new LockstepError('bad-option', `--data-set ${name} isn't at ${status.node}; there is ${names.join(', ')}`);
  return status.role === 'master'
    ? { ...status, dataSets: status.dataSets.filter((dataSet) => dataSet.dataSet === name) }
    : { ...status, dataSets: status.dataSets.filter((dataSet) => dataSet.dataSet === name) };
}

/** The epoch is that of the reign in which the state was made. */
export function versionText(tip: TipBody | null): string {
  return tip === null ? nothing : `e${tip.epoch} v${tip.version}`;
}

export function memberState(member: MemberBody): string {
  if (member.live) return member.state ?? 'joining';
  return member.heardMsAgo === null ? 'not heard' : `lost for ${Math.round(member.heardMsAgo / 1000)} s`;
}

function masterRows(node: string, dataSet: MasterDataSetBody): readonly (readonly string[])[] {
  const state = dataSet.phase === 'leading' && !dataSet.mayCommit ? 'leading, waiting' : dataSet.phase;
  const inDoubt = dataSet.openRounds.length === 0 ? nothing : `${dataSet.openRounds.length} open`;
  const own = [node, 'master', state, versionText(dataSet.tip), nothing, nothing, inDoubt];
  return [own, ...dataSet.members.map(memberRow)];
}

function memberRow(member: MemberBody): readonly string[] {
  const behind = member.behind === null ? nothing : String(member.behind);
  return [
    member.node,
    'slave',
    memberState(member),
    versionText(member.tip),
    behind,
    voteText(member.lastVote),
    member.inDoubt === 0 ? nothing : String(member.inDoubt),
  ];
}

function slaveRow(node: string, dataSet: SlaveDataSetBody): readonly string[] {
  const { tip, heardOf } = dataSet;
  const behind = heardOf === null ? nothing : String(Math.max(0, heardOf.version - (tip?.version ?? 0)));
  const inDoubt = dataSet.inDoubt
    .map(
      ({ round, version, ageMs, voters }) =>
        `v${version} for ${Math.round(ageMs / 1000)} s (round ${round}, ${voters} voters)`,
    )
    .join(', ');
  return [
    node,
    'slave',
    dataSet.state,
    versionText(tip),
    behind,
    voteText(dataSet.lastVote),
    inDoubt === '' ? nothing : inDoubt,
  ];
}

function voteText(vote: MemberBody['lastVote']): string {
  if (vote === null) return nothing;
  return vote.yes ? 'yes' : `no (v${vote.version})`;
}
