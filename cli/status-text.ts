import { LockstepError } from '../shared/protocol/kernel/errors.js';
import type { MasterDataSetBody, MemberBody, SlaveDataSetBody, StatusBody, TipBody } from '../shared/http/bodies.js';
import { timeText } from './history.js';
import { armedText, durationText } from './outcome-text.js';
import { nothing, tableText } from './table.js';

const head = ['node', 'role', 'state', 'version', 'behind', 'last vote', 'in doubt', 'resyncs', 'last veto'];
/** A reason is as long as somebody's validator makes it. */
const shownReason = 48;

/** One table for each data set, under its name when there are several. */
export function statusText(status: StatusBody, options: { readonly maxMembers?: number } = {}): string {
  const { maxMembers = Infinity } = options;
  const blocks =
    status.role === 'master'
      ? status.dataSets.map((dataSet) => masterBlock(status.node, dataSet, maxMembers))
      : status.dataSets.map((dataSet) => ({
          name: dataSet.dataSet,
          text: `${tableText(head, [slaveRow(status.node, dataSet)])}${clockText(dataSet)}`,
        }));
  return blocks.map(({ name, text }) => `${blocks.length > 1 ? `${name}\n` : ''}${text}`).join('\n\n');
}

/** When not all members find a place, those that somebody should look at do. */
function masterBlock(
  node: string,
  dataSet: MasterDataSetBody,
  maxMembers: number,
): { readonly name: string; readonly text: string } {
  const { dataSet: name, members } = dataSet;
  const isCut = members.length > maxMembers;
  const shown = isCut ? [...members].sort((a, b) => troubleOf(b) - troubleOf(a)).slice(0, maxMembers) : members;
  const lines = [tableText(head, [masterRow(node, dataSet), ...shown.map(memberRow)]), ...scheduledLines(dataSet)];
  const table = lines.join('\n');
  if (!isCut) return { name, text: table };
  const left = members.filter((member) => !shown.includes(member));
  const calm = left.filter((member) => troubleOf(member) === 0).length;
  const rest =
    calm === left.length ? 'all current, with nothing in doubt' : `${calm} of them current, with nothing in doubt`;
  return { name, text: `${table}\n… and ${left.length} more, ${rest}` };
}

/** What waits for its instant, and how the newest one went. */
function scheduledLines({ armed, activation }: MasterDataSetBody): readonly string[] {
  const lines: string[] = [];
  if (armed !== null) {
    const phase = armed.phase === 'armed' ? '' : `${armed.phase}, `;
    lines.push(
      `version ${armed.version} shows at ${armed.activateAt}, ${inText(armed.inMs)}: ${phase}${armedText(armed)}`,
    );
  }
  if (activation !== null) {
    const { version, activateAt, exposed, of, missing, spreadMs, boundMs } = activation;
    const absent =
      missing.length === 0 ? '' : ` (not ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', …' : ''})`;
    const spread =
      spreadMs === null || boundMs === null
        ? ''
        : `, within ${durationText(spreadMs)} by their clocks, ${durationText(boundMs)} at most`;
    lines.push(`version ${version} showed at ${activateAt} at ${exposed}/${of}${absent}${spread}`);
  }
  return lines;
}

function inText(inMs: number): string {
  return inMs >= 0 ? `in ${ageText(inMs)}` : `${ageText(-inMs)} ago`;
}

/** 0: nothing to look at. */
function troubleOf(member: MemberBody): number {
  if (member.state === 'failed' || member.state === 'diverged') return 5;
  if (!member.live) return 4;
  if (member.inDoubt > 0 && (member.oldestInDoubtMs ?? 0) > 1000) return 3;
  if (member.state !== 'current') return 2;
  return (member.behindMs ?? 0) > 1000 ? 1 : 0;
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
  return member.heardMsAgo === null ? 'not heard' : `lost for ${ageText(member.heardMsAgo)}`;
}

function masterRow(node: string, dataSet: MasterDataSetBody): readonly string[] {
  const state = dataSet.phase === 'leading' && !dataSet.mayCommit ? 'leading, waiting' : dataSet.phase;
  const inDoubt = dataSet.openRounds.length === 0 ? nothing : `${dataSet.openRounds.length} open`;
  return [node, 'master', state, versionText(dataSet.tip), nothing, nothing, inDoubt, nothing, nothing];
}

function memberRow(member: MemberBody): readonly string[] {
  const { inDoubt, oldestInDoubtMs } = member;
  return [
    member.node,
    'slave',
    memberState(member),
    versionText(member.tip),
    behindText(member),
    voteText(member.lastVote),
    inDoubt === 0 ? nothing : `${inDoubt}${oldestInDoubtMs === null ? '' : ` for ${ageText(oldestInDoubtMs)}`}`,
    resyncsText(member.resyncs),
    vetoText(member.lastVeto),
  ];
}

function slaveRow(node: string, dataSet: SlaveDataSetBody): readonly string[] {
  const inDoubt = dataSet.inDoubt
    .map(({ round, version, ageMs, voters }) => `v${version} for ${ageText(ageMs)} (round ${round}, ${voters} voters)`)
    .join(', ');
  return [
    node,
    'slave',
    dataSet.state,
    versionText(dataSet.tip),
    behindText(dataSet),
    voteText(dataSet.lastVote),
    inDoubt === '' ? nothing : inDoubt,
    resyncsText(dataSet.resyncs),
    vetoText(dataSet.lastVeto),
  ];
}

/** Nothing while the slave doesn't know: who looks for a reason finds it in the state. */
function clockText({ clock }: Partial<Pick<SlaveDataSetBody, 'clock'>>): string {
  if (clock === null || clock === undefined) return '';
  const { groupMs, offsetMs, errorMs } = clock;
  const ahead = `${millisText(Math.abs(offsetMs))} ${offsetMs < 0 ? 'behind' : 'ahead of'} its time of day`;
  return `\ngroup time ${new Date(groupMs).toISOString()}, ${ahead}, known to ± ${millisText(errorMs)}`;
}

/** As fine as it matters: `0.42 ms`, `38 ms`, `7215 s`. */
function millisText(ms: number): string {
  if (ms >= 10_000) return `${Math.round(ms / 1000)} s`;
  return `${ms < 10 ? Math.round(ms * 100) / 100 : Math.round(ms)} ms`;
}

function voteText(vote: MemberBody['lastVote']): string {
  if (vote === null) return nothing;
  return vote.yes ? 'yes' : `no (v${vote.version})`;
}

/** Versions, and since when it lacks the oldest of them. */
function behindText({ behind, behindMs }: Pick<MemberBody, 'behind' | 'behindMs'>): string {
  if (behind === null) return nothing;
  return behind === 0 || behindMs === null ? String(behind) : `${behind} for ${ageText(behindMs)}`;
}

function resyncsText(resyncs: MemberBody['resyncs']): string {
  const counted = Object.entries(resyncs).filter(([, count]) => count > 0);
  return counted.length === 0 ? nothing : counted.map(([cause, count]) => `${count} ${cause}`).join(', ');
}

function vetoText(veto: MemberBody['lastVeto']): string {
  if (veto === null) return nothing;
  const reason = veto.reason.replaceAll('\n', '; ');
  const shown = reason.length > shownReason ? `${reason.slice(0, shownReason - 1)}…` : reason;
  return `v${veto.version} at ${timeText(new Date(veto.at))}: ${shown}`;
}

/** The largest unit that says enough: `0.4 s`, `12 s`, `3 min`, `5 h`. */
export function ageText(ageMs: number): string {
  const seconds = ageMs / 1000;
  if (seconds < 9.95) return `${seconds < 0.05 ? 0 : Math.round(seconds * 10) / 10} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
