/**
 * What the plots show: how far behind the slowest copy was, moment by moment, and how long each round took.
 *
 * @import { DataSet, Group } from './model.js'
 *
 * @typedef {object} Sample
 * @property {number} atMs This browser's clock.
 * @property {number} worstMs How long the one that is furthest behind has lacked a version.
 * @property {number} behind How many lack one.
 */
import { behindMs } from './model.js';

export const plotWindowMs = 5 * 60 * 1000;
/** Two a second, and what is left over of the window before. */
const mostSamples = 700;

/**
 * Of those who are heard: a dead one is named elsewhere, and would flatten the curve of all others.
 *
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Sample}
 */
export function sampleOf({ members }, nowMs) {
  const lacks = [...members.values()].filter(({ body }) => body.live).map((member) => behindMs(member, nowMs));
  return { atMs: nowMs, worstMs: Math.max(0, ...lacks), behind: lacks.filter((lackMs) => lackMs > 0).length };
}

/**
 * @param {readonly Sample[]} samples
 * @param {Sample} sample
 * @returns {readonly Sample[]} Oldest first, those of the window only.
 */
export function withSample(samples, sample) {
  const oldest = sample.atMs - plotWindowMs;
  return [...samples.filter(({ atMs }) => atMs >= oldest), sample].slice(-mostSamples);
}

/**
 * For a plot: seconds, and how long each round took until it was decided; committed and refused ones apart.
 *
 * @param {Group} group
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {[number[], (number | null)[], (number | null)[]]}
 */
export function decisionTimes({ masterAheadMs }, { rounds }, nowMs) {
  /** @type {[number[], (number | null)[], (number | null)[]]} */
  const columns = [[], [], []];
  for (const { startedAt, decidedMs, outcome } of rounds.toReversed()) {
    const atMs = Date.parse(startedAt) - masterAheadMs;
    if (decidedMs === null || nowMs - atMs > plotWindowMs) continue;
    columns[0].push(atMs / 1000);
    const isYes = outcome === 'committed' || outcome === 'armed';
    columns[1].push(isYes ? decidedMs : null);
    columns[2].push(isYes ? null : decidedMs);
  }
  return columns;
}

/**
 * The middle and the worst of a list, for the line that says in words what a plot shows. Null when there is none.
 *
 * @param {readonly (number | null)[]} values
 * @returns {{ readonly middle: number, readonly worst: number, readonly count: number } | null}
 */
export function summaryOf(values) {
  const known = values.filter((value) => value !== null).sort((one, other) => one - other);
  const middle = known[Math.floor(known.length / 2)];
  const worst = known.at(-1);
  return middle === undefined || worst === undefined ? null : { middle, worst, count: known.length };
}
