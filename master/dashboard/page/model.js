/**
 * What the page knows of the group: the newest whole account, with every change since put into it.
 *
 * Pure: times come in, and are milliseconds of this browser's clock.
 *
 * @import { LiveDataSet, LiveDataSetHead, LiveRound, LiveRounds, LiveStatus } from '../../http/live-bodies.js'
 * @import { MemberBody } from '../../../shared/http/bodies.js'
 *
 * @typedef {object} Member
 * @property {MemberBody} body
 * @property {number} toldAtMs When the body arrived: what it says in ages counts on from here.
 * @property {number | null} behindSinceMs Since when it has been behind, as seen from here.
 * @property {number | null} inDoubtSinceMs Since when it has had rounds in doubt, as seen from here.
 *
 * @typedef {object} DataSet
 * @property {LiveDataSetHead} head
 * @property {number} toldAtMs
 * @property {ReadonlyMap<string, Member>} members
 * @property {readonly LiveRound[]} rounds Newest first.
 *
 * @typedef {object} Group
 * @property {string} node The master's name.
 * @property {number} masterAheadMs How far the master's clock is ahead of this browser's.
 * @property {ReadonlyMap<string, DataSet>} dataSets
 */

/** As many as the page can list; older ones are at `GET /v1/rounds`. */
export const keptRounds = 200;

/**
 * @param {Group | null} group Null before the first event.
 * @param {LiveStatus} status
 * @param {number} nowMs
 * @returns {Group | null} Null while no whole account has come.
 */
export function withStatus(group, status, nowMs) {
  if (group === null && !status.whole) return null;
  /** @type {ReadonlyMap<string, DataSet>} */
  const before = group?.dataSets ?? new Map();
  /** @type {Map<string, DataSet>} */
  const dataSets = status.whole ? new Map() : new Map(before);
  for (const told of status.dataSets)
    dataSets.set(told.dataSet, withTold(before.get(told.dataSet), told, status.whole, nowMs));
  return { node: status.node, masterAheadMs: Date.parse(status.at) - nowMs, dataSets };
}

/**
 * @param {Group | null} group
 * @param {LiveRounds} told
 * @returns {Group | null}
 */
export function withRounds(group, told) {
  const dataSet = group?.dataSets.get(told.dataSet);
  if (group === null || dataSet === undefined) return group;
  const fresh = new Set(told.rounds.map(({ round }) => round));
  const old = told.whole ? [] : dataSet.rounds.filter(({ round }) => !fresh.has(round));
  const rounds = [...told.rounds, ...old].sort(newestFirst).slice(0, keptRounds);
  return { ...group, dataSets: new Map([...group.dataSets, [told.dataSet, { ...dataSet, rounds }]]) };
}

/**
 * How long a member hasn't been heard, now. Null: not at all in this reign.
 *
 * @param {Member} member
 * @param {number} nowMs
 * @returns {number | null}
 */
export function silenceMs({ body, toldAtMs }, nowMs) {
  const { heardMsAgo } = body;
  // A member that is heard isn't told of each time; its silence is, when it begins.
  if (heardMsAgo === null || heardMsAgo <= heardRecentlyMs) return heardMsAgo;
  return heardMsAgo + Math.max(0, nowMs - toldAtMs);
}

/** As the master's feed has it: up to here a member counts as heard just now. */
export const heardRecentlyMs = 2000;

/**
 * How long a member has lacked a version that is committed.
 *
 * @param {Member} member
 * @param {number} nowMs
 * @returns {number}
 */
export function behindMs({ body, toldAtMs, behindSinceMs }, nowMs) {
  if (body.behind === 0) return 0;
  if (body.behindMs !== null) return body.behindMs + Math.max(0, nowMs - toldAtMs);
  return behindSinceMs === null ? 0 : nowMs - behindSinceMs;
}

/**
 * How long a member's oldest round has been in doubt.
 *
 * @param {Member} member
 * @param {number} nowMs
 * @returns {number}
 */
export function inDoubtMs({ body, toldAtMs, inDoubtSinceMs }, nowMs) {
  if (body.inDoubt === 0) return 0;
  if (body.oldestInDoubtMs !== null) return body.oldestInDoubtMs + Math.max(0, nowMs - toldAtMs);
  return inDoubtSinceMs === null ? 0 : nowMs - inDoubtSinceMs;
}

/**
 * How long ago, by the master's clock, something happened.
 *
 * @param {Group} group
 * @param {string} at ISO 8601.
 * @param {number} nowMs
 * @returns {number}
 */
export function sinceMs(group, at, nowMs) {
  return Math.max(0, nowMs + group.masterAheadMs - Date.parse(at));
}

/**
 * @param {DataSet | undefined} before
 * @param {LiveDataSet} told
 * @param {boolean} whole
 * @param {number} nowMs
 * @returns {DataSet}
 */
function withTold(before, told, whole, nowMs) {
  const { members: toldMembers, gone, ...head } = told;
  /** @type {Map<string, Member>} */
  const members = new Map(whole ? [] : before?.members);
  for (const node of gone) members.delete(node);
  for (const body of toldMembers) members.set(body.node, toldMember(before?.members.get(body.node), body, nowMs));
  return { head, toldAtMs: nowMs, members, rounds: before?.rounds ?? [] };
}

/**
 * @param {Member | undefined} before
 * @param {MemberBody} body
 * @param {number} nowMs
 * @returns {Member}
 */
function toldMember(before, body, nowMs) {
  return {
    body,
    toldAtMs: nowMs,
    behindSinceMs: body.behind === 0 ? null : (before?.behindSinceMs ?? nowMs),
    inDoubtSinceMs: body.inDoubt === 0 ? null : (before?.inDoubtSinceMs ?? nowMs),
  };
}

/**
 * @param {LiveRound} one
 * @param {LiveRound} other
 * @returns {number}
 */
function newestFirst(one, other) {
  return Date.parse(other.startedAt) - Date.parse(one.startedAt) || other.version - one.version;
}
