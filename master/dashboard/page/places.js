/**
 * Where each node stands in the picture: what needs somebody first, on the left; what is well, on the right.
 *
 * @import { DataSet, Member } from './model.js'
 *
 * @typedef {'stuck' | 'silent' | 'behind' | 'well'} PlaceName
 *
 * @typedef {object} Standing
 * @property {PlaceName} place
 * @property {string} state In two or three words.
 *
 * @typedef {object} Place
 * @property {PlaceName} name
 * @property {readonly string[]} nodes The worst first, then by name.
 */
import { behindMs, inDoubtMs, silenceMs } from './model.js';
import { byName, calmSpan, counted } from './words.js';

/** Less is the ordinary way of a change, and not worth a look. */
export const patience = {
  /** A heartbeat comes each second at the least. */
  silentMs: 2500,
  behindMs: 1000,
  inDoubtMs: 1000,
  openRoundMs: 1500,
  /** A round trip within a data centre is far below it. */
  roundTripMs: 250,
};

/**
 * @param {Member} member
 * @param {number} nowMs
 * @returns {Standing}
 */
export function standingOf(member, nowMs) {
  const { body } = member;
  if (body.state === 'diverged') return { place: 'stuck', state: 'diverged' };
  if (body.state === 'failed') return { place: 'stuck', state: 'failed' };
  const unheardMs = silenceMs(member, nowMs);
  if (!body.live || unheardMs === null || unheardMs > patience.silentMs) {
    const state = unheardMs === null ? 'not heard yet' : `silent for ${calmSpan(unheardMs)}`;
    return { place: 'silent', state };
  }
  const doubtMs = inDoubtMs(member, nowMs);
  if (doubtMs > patience.inDoubtMs) return { place: 'stuck', state: `in doubt for ${calmSpan(doubtMs)}` };
  if (behindMs(member, nowMs) > patience.behindMs) {
    const state = body.behind === null ? 'catching up' : `${counted(body.behind, 'version')} behind`;
    return { place: 'behind', state };
  }
  if (body.state === 'catching up') return { place: 'behind', state: 'catching up' };
  if ((body.roundTripMs ?? 0) > patience.roundTripMs) return { place: 'well', state: 'slow to answer' };
  return { place: 'well', state: body.state ?? 'heard' };
}

/** @type {readonly PlaceName[]} */
export const placeNames = ['stuck', 'silent', 'behind', 'well'];

/**
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {readonly Place[]} All four, in the order of the picture; a place may be empty.
 */
export function placesOf(dataSet, nowMs) {
  /** @type {Map<PlaceName, { node: string, urgency: number }[]>} */
  const nodes = new Map(placeNames.map((name) => [name, []]));
  for (const [node, member] of dataSet.members) {
    const { place } = standingOf(member, nowMs);
    nodes.get(place)?.push({ node, urgency: urgencyOf(member, place, nowMs) });
  }
  return placeNames.map((name) => {
    const here = nodes.get(name) ?? [];
    here.sort((one, other) => other.urgency - one.urgency || byName(one.node, other.node));
    return { name, nodes: here.map(({ node }) => node) };
  });
}

/**
 * How much sooner than others in the same place somebody should look at it. In whole steps: who stand about equal keep
 * their order from one moment to the next.
 *
 * @param {Member} member
 * @param {PlaceName} place
 * @param {number} nowMs
 * @returns {number}
 */
function urgencyOf(member, place, nowMs) {
  if (place === 'stuck') return Math.floor(inDoubtMs(member, nowMs) / 10_000);
  if (place === 'silent') return Math.floor((silenceMs(member, nowMs) ?? 0) / 10_000);
  if (place === 'behind') return member.body.behind ?? 0;
  return (member.body.roundTripMs ?? 0) > patience.roundTripMs ? 1 : 0;
}
