/**
 * What is scheduled, in words: what waits for its instant, and how the newest one went.
 *
 * @import { DataSet, Group } from './model.js'
 *
 * @typedef {object} Waiting
 * @property {string} title
 * @property {string} at ISO 8601.
 * @property {string} when The instant as a clock on the wall here shows it, and how far away it is.
 * @property {string} armed
 * @property {'calm' | 'watch'} tone
 *
 * @typedef {object} Past
 * @property {string} title
 * @property {string} at ISO 8601.
 * @property {string} when
 * @property {string} shown At how many, and who is missing.
 * @property {string} spread How near to one instant they were.
 * @property {'calm' | 'watch'} tone
 */
import { calmSpan, listed, span } from './words.js';

/** @type {Readonly<Record<string, string>>} */
const phases = {
  armed: 'Waits for its instant',
  cancelling: 'Is being cancelled',
  withdrawing: 'Is cancelled, and being taken back',
  activating: 'Its instant has come',
};

/**
 * Null: nothing waits.
 *
 * @param {Group} group
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Waiting | null}
 */
export function waitingFor(group, { head }, nowMs) {
  const { armed } = head;
  if (armed === null) return null;
  const isWhole = armed.missing.length === 0;
  return {
    title: `Version ${armed.version} · ${phases[armed.phase] ?? armed.phase}`,
    at: armed.activateAt,
    when: `${wallClock(armed.activateAt)}, ${untilText(leftMs(group, armed.activateAt, nowMs))}`,
    armed: `${armed.armed} of ${armed.of}${isWhole ? '' : `; not ${listed(armed.missing)}`}`,
    tone: isWhole ? 'calm' : 'watch',
  };
}

/**
 * Null: nothing that was scheduled has shown since the master started.
 *
 * @param {Group} group
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {Past | null}
 */
export function shownLast(group, { head }, nowMs) {
  const { activation } = head;
  if (activation === null) return null;
  const { version, activateAt, exposed, of, missing, spreadMs, boundMs } = activation;
  return {
    title: `Version ${version} · Shown at its instant`,
    at: activateAt,
    when: `${wallClock(activateAt)}, ${untilText(leftMs(group, activateAt, nowMs))}`,
    shown: `${exposed} of ${of}${missing.length === 0 ? '' : `; not yet reported by ${listed(missing)}`}`,
    spread:
      spreadMs === null || boundMs === null
        ? 'nobody has reported it yet'
        : `${span(spreadMs)} by their own clocks, ${span(boundMs)} at most`,
    tone: missing.length === 0 ? 'calm' : 'watch',
  };
}

/**
 * By the master's clock, which instants are by.
 *
 * @param {Group} group
 * @param {string} at ISO 8601.
 * @param {number} nowMs
 * @returns {number}
 */
export function leftMs(group, at, nowMs) {
  return Date.parse(at) - (nowMs + group.masterAheadMs);
}

/**
 * "in 42 s", "in 3 h", "12 s ago".
 *
 * @param {number} leftOverMs
 * @returns {string}
 */
export function untilText(leftOverMs) {
  if (leftOverMs > 0) return `in ${calmSpan(leftOverMs)}`;
  return leftOverMs > -1500 ? 'now' : `${calmSpan(-leftOverMs)} ago`;
}

/**
 * As a clock on the wall shows it where the browser is: "1 Dec 2026, 10:00:00 CET".
 *
 * @param {string} at ISO 8601.
 * @param {string} [timeZone] Default: the browser's.
 * @returns {string}
 */
export function wallClock(at, timeZone) {
  const date = { day: 'numeric', month: 'short', year: 'numeric' };
  const time = { hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' };
  const format = /** @type {Intl.DateTimeFormatOptions} */ ({ ...date, ...time, timeZone });
  return new Intl.DateTimeFormat('en-GB', format).format(new Date(at));
}
