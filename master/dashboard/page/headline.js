/**
 * What is the matter, in words: the first line that an operator reads at night.
 *
 * @import { DataSet, Group, Member } from './model.js'
 * @import { LiveRound } from '../../http/live-bodies.js'
 *
 * @typedef {'calm' | 'watch' | 'alarm'} Tone
 *
 * @typedef {object} Matter
 * @property {Tone} tone
 * @property {string} text
 * @property {string} key The same as long as it is the same matter, however its numbers change: said aloud once.
 *
 * @typedef {object} Account
 * @property {Matter} first
 * @property {readonly Matter[]} others The worst first.
 */
import { behindMs, inDoubtMs, silenceMs, sinceMs } from './model.js';
import { patience, standingOf } from './places.js';
import { leftMs, untilText } from './scheduled.js';
import { ago, byName, calmSpan, counted, listed } from './words.js';

/** A refused change stays the news for so long, unless another one is committed. */
const vetoNewsMs = 10 * 60 * 1000;
/** And so long beside the news, when another one is. */
const vetoRecentMs = 60 * 1000;
const longDoubtMs = 10_000;
const longWaitMs = 5000;

/**
 * @param {Group} group
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Account}
 */
export function accountOf(group, dataSet, nowMs) {
  const matters = [
    ...leadershipOf(group, dataSet),
    ...stuckOf(dataSet, nowMs),
    ...silentOf(dataSet, nowMs),
    ...waitingOf(dataSet, nowMs),
    ...unarmedOf(group, dataSet, nowMs),
    ...refusedOf(group, dataSet, nowMs),
    ...behindOf(dataSet, nowMs),
    ...slowOf(dataSet, nowMs),
  ];
  const [first = calmOf(dataSet, nowMs), ...others] = [
    ...matters.filter(({ tone }) => tone === 'alarm'),
    ...matters.filter(({ tone }) => tone === 'watch'),
    ...[calmOf(dataSet, nowMs)].filter(() => !matters.some(({ tone }) => tone !== 'calm')),
    ...matters.filter(({ tone }) => tone === 'calm'),
  ];
  return { first, others };
}

/**
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Matter}
 */
function calmOf({ head, members }, nowMs) {
  const count = members.size;
  const version = head.tip?.version ?? 0;
  const key = `calm ${count}`;
  if (count === 0) {
    const state = version === 0 ? 'nothing has been committed yet' : `the master is at version ${version}`;
    return { tone: 'calm', key, text: `No slave has joined; ${state}` };
  }
  const all = [...members.values()];
  if (version === 0)
    return { tone: 'calm', key, text: `${everybody(count, 'is', 'are')} here; nothing has been committed yet` };
  const current = all.filter((member) => member.body.state === 'current' && behindMs(member, nowMs) === 0).length;
  if (current < count && all.some((member) => member.body.state !== 'current'))
    return {
      tone: 'calm',
      key,
      text: `${everybody(count, 'has', 'have')} a copy at version ${version} or just before it`,
    };
  return { tone: 'calm', key, text: `${everybody(count, 'is', 'are')} current at version ${version}` };
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
function everybody(count, one, many) {
  if (count === 1) return `The one slave ${one}`;
  return count === 2 ? `Both slaves ${many}` : `All ${counted(count, 'slave')} ${many}`;
}

/**
 * @param {Group} group
 * @param {DataSet} dataSet
 * @returns {Matter[]}
 */
function leadershipOf({ node }, { head }) {
  const key = `phase ${head.phase}`;
  switch (head.phase) {
    case 'leading':
      if (head.mayCommit) return [];
      return [
        {
          tone: 'watch',
          key: 'may not commit',
          text: `${node} leads, and commits nothing until its members have promised or the longest lease is over`,
        },
      ];
    case 'opening':
      return [{ tone: 'watch', key, text: `${node} is reading its store` }];
    case 'surveying':
      return [{ tone: 'watch', key, text: `${node} is asking its group whether it may lead` }];
    case 'claiming':
      return [{ tone: 'watch', key, text: `${node} is waiting for its group's promises` }];
    case 'closing':
      return [{ tone: 'watch', key, text: `${node} is shutting down` }];
    default:
      return [{ tone: 'alarm', key, text: `${node} does not lead ${head.dataSet}; its log says why` }];
  }
}

/**
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Matter[]}
 */
function stuckOf({ members }, nowMs) {
  /** @type {Matter[]} */
  const matters = [];
  const diverged = namesOf(members, ({ body }) => body.state === 'diverged');
  if (diverged.length > 0) {
    const text = `${listed(diverged)} ${has(diverged)} diverged: ${diverged.length === 1 ? 'its copy is' : 'their copies are'} not on the master's chain`;
    matters.push({ tone: 'alarm', key: `diverged ${diverged.join()}`, text });
  }
  const failed = namesOf(members, ({ body }) => body.state === 'failed');
  if (failed.length > 0) {
    const text = `${listed(failed)} can't apply what is committed; ${failed.length === 1 ? 'its log says' : 'their logs say'} why`;
    matters.push({ tone: 'alarm', key: `failed ${failed.join()}`, text });
  }
  const doubtful = namesOf(members, (member) => inDoubtMs(member, nowMs) > patience.inDoubtMs);
  if (doubtful.length > 0) {
    const longestMs = Math.max(...doubtful.map((node) => ofMember(members, node, inDoubtMs, nowMs)));
    matters.push({
      tone: longestMs > longDoubtMs ? 'alarm' : 'watch',
      key: `in doubt ${doubtful.join()}`,
      text: `${listed(doubtful)} ${has(doubtful)} been in doubt for ${calmSpan(longestMs)}: voted yes, and ${doubtful.length === 1 ? "doesn't" : "don't"} know the decision`,
    });
  }
  return matters;
}

/**
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Matter[]}
 */
function silentOf({ members }, nowMs) {
  const silent = namesOf(members, (member) => {
    const { place } = standingOf(member, nowMs);
    return place === 'silent' && member.body.heardMsAgo !== null;
  });
  const never = namesOf(members, ({ body }) => body.heardMsAgo === null);
  /** @type {Matter[]} */
  const matters = [];
  if (silent.length > 0) {
    const longestMs = Math.max(...silent.map((node) => ofMember(members, node, silenceMs, nowMs) ?? 0));
    const atMost = silent.length === 1 ? '' : 'up to ';
    matters.push({
      tone: 'alarm',
      key: `silent ${silent.join()}`,
      text: `${listed(silent)} ${has(silent)}n't been heard for ${atMost}${calmSpan(longestMs)}`,
    });
  }
  if (never.length > 0) {
    const text = `${listed(never)} ${has(never)}n't been heard since this master took the lead`;
    matters.push({ tone: 'watch', key: `never ${never.join()}`, text });
  }
  return matters;
}

/**
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Matter[]}
 */
function waitingOf({ head, toldAtMs }, nowMs) {
  const slow = head.openRounds
    .map((round) => ({ ...round, ageMs: round.ageMs + Math.max(0, nowMs - toldAtMs) }))
    .filter(({ ageMs }) => ageMs > patience.openRoundMs);
  const oldest = slow.toSorted((one, other) => other.ageMs - one.ageMs)[0];
  if (oldest === undefined) return [];
  const waits =
    oldest.missing.length === 0 ? 'is being decided' : `waits for ${listed([...oldest.missing].sort(byName))}`;
  const more = slow.length === 1 ? '' : ` (and ${slow.length - 1} more after it)`;
  return [
    {
      tone: oldest.ageMs > longWaitMs ? 'alarm' : 'watch',
      key: `open ${oldest.version}`,
      text: `Version ${oldest.version} ${waits}, since ${calmSpan(oldest.ageMs)}${more}`,
    },
  ];
}

/**
 * Who hasn't reported that it is armed isn't current when the others switch. To write that down takes everybody a moment.
 *
 * @param {Group} group
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Matter[]}
 */
function unarmedOf(group, { head, rounds }, nowMs) {
  const { armed } = head;
  if (armed === null || armed.phase !== 'armed' || armed.missing.length === 0) return [];
  const round = rounds.find(({ version, outcome }) => version === armed.version && outcome === 'armed');
  const decidedMsAgo = round === undefined ? Infinity : sinceMs(group, round.startedAt, nowMs) - (round.decidedMs ?? 0);
  if (decidedMsAgo <= patience.openRoundMs) return [];
  const missing = [...armed.missing].sort(byName);
  return [
    {
      tone: 'watch',
      key: `not armed ${armed.version} ${missing.join()}`,
      text: `${listed(missing)} ${has(missing)}n't reported that ${missing.length === 1 ? 'it is' : 'they are'} armed for version ${armed.version}, due ${untilText(leftMs(group, armed.activateAt, nowMs))}`,
    },
  ];
}

/**
 * @param {Group} group
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Matter[]}
 */
function refusedOf(group, { rounds, head, members }, nowMs) {
  const refused = rounds.find(({ outcome }) => outcome === 'aborted');
  if (rounds.length === 0) return refusedAsVoted(head, members);
  if (refused === undefined) return [];
  const ageMs = sinceMs(group, refused.startedAt, nowMs);
  const text = refusalText(refused);
  const isNews = !rounds.slice(0, rounds.indexOf(refused)).some(({ outcome }) => outcome === 'committed');
  const key = `refused ${refused.round}`;
  if (isNews && ageMs < vetoNewsMs) return [{ tone: 'watch', key, text }];
  if (ageMs > vetoRecentMs) return [];
  return [{ tone: 'calm', key, text: `${text} (${ago(ageMs)}; version ${head.tip?.version ?? 0} is committed since)` }];
}

/**
 * Without a record of rounds: who last voted no, to a version that isn't committed.
 *
 * @param {DataSet['head']} head
 * @param {DataSet['members']} members
 * @returns {Matter[]}
 */
function refusedAsVoted({ tip }, members) {
  const refusals = [...members.values()].flatMap(({ body }) => {
    const { lastVote, node } = body;
    return lastVote === null || lastVote.yes || lastVote.version <= (tip?.version ?? 0) ? [] : [{ node, ...lastVote }];
  });
  const newest = refusals.sort((one, other) => other.version - one.version)[0];
  if (newest === undefined) return [];
  const text = `${newest.node} vetoed version ${newest.version}${newest.reason === '' ? '' : `: ${newest.reason}`}`;
  return [{ tone: 'watch', key: `refused ${newest.version}`, text }];
}

/**
 * Why a round ended without its change: "b vetoed version 13: cents must be positive".
 *
 * @param {LiveRound} round
 * @returns {string}
 */
export function refusalText({ version, votes, reason, missing, silent }) {
  const refusals = votes.filter(({ yes }) => !yes);
  const names = refusals.map(({ node }) => node).sort(byName);
  const why = refusals.find((vote) => vote.reason !== '')?.reason ?? reason;
  if (names.length > 0) return `${listed(names)} vetoed version ${version}${why === null ? '' : `: ${why}`}`;
  const more = missing.length < silent ? ` and ${silent - missing.length} more` : '';
  const nobody = silent === 0 ? '' : `; no vote came from ${more === '' ? listed(missing) : missing.join(', ') + more}`;
  return `Version ${version} was not committed${why === null || why === '' ? '' : `: ${why}`}${nobody}`;
}

/**
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Matter[]}
 */
function behindOf({ members }, nowMs) {
  const behind = namesOf(members, (member) => standingOf(member, nowMs).place === 'behind');
  const [only] = behind;
  if (only === undefined) return [];
  const versions = Math.max(...behind.map((node) => members.get(node)?.body.behind ?? 0));
  const longestMs = Math.max(...behind.map((node) => ofMember(members, node, behindMs, nowMs) ?? 0));
  const most = behind.length === 1 ? '' : 'up to ';
  const howFar = versions === 0 ? 'catching up' : `${most}${counted(versions, 'version')} behind`;
  const howLong = longestMs > patience.behindMs ? `, for ${most}${calmSpan(longestMs)}` : '';
  const text = `${listed(behind)} ${behind.length === 1 ? 'is' : 'are'} ${howFar}${howLong}`;
  return [{ tone: 'watch', key: `behind ${behind.join()}`, text }];
}

/**
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Matter[]}
 */
function slowOf({ members }, nowMs) {
  const slow = namesOf(members, (member) => standingOf(member, nowMs).state === 'slow to answer');
  if (slow.length === 0) return [];
  const worstMs = Math.max(...slow.map((node) => members.get(node)?.body.roundTripMs ?? 0));
  const text = `${listed(slow)} ${slow.length === 1 ? 'is' : 'are'} slow to answer: ${Math.round(worstMs)} ms there and back`;
  return [{ tone: 'watch', key: `slow ${slow.join()}`, text }];
}

/**
 * @param {ReadonlyMap<string, Member>} members
 * @param {(member: Member) => boolean} isMeant
 * @returns {string[]}
 */
function namesOf(members, isMeant) {
  return [...members]
    .filter(([, member]) => isMeant(member))
    .map(([node]) => node)
    .sort(byName);
}

/**
 * @template Value
 * @param {ReadonlyMap<string, Member>} members
 * @param {string} node
 * @param {(member: Member, nowMs: number) => Value} look
 * @param {number} nowMs
 * @returns {Value | 0}
 */
function ofMember(members, node, look, nowMs) {
  const member = members.get(node);
  return member === undefined ? 0 : look(member, nowMs);
}

/** @param {readonly string[]} names */
function has(names) {
  return names.length === 1 ? 'has' : 'have';
}
