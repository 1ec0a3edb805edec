/**
 * Rounds, the newest first: who voted what, when, and what became of it.
 *
 * @import { LiveRound } from '../../http/live-bodies.js'
 * @import { DataSet, Group } from './model.js'
 */
import { byId, glyph, keep, make, makeSvg, setAttribute, setText } from './dom.js';
import { sinceMs } from './model.js';
import { refusalText } from './headline.js';
import { wallClock } from './scheduled.js';
import { ago, byName, counted, listed, size, span } from './words.js';

const firstShown = 8;
const moreShown = 48;
/** Where votes stand in the strip of a round, in its own units. */
const strip = { width: 200, height: 20, from: 8, to: 184 };

export class RoundsView {
  #list = byId('rounds', HTMLOListElement);
  #none = byId('no-rounds', HTMLElement);
  #more = byId('more-rounds', HTMLButtonElement);
  #shown = firstShown;
  /** @type {Map<string, string>} What each row was drawn from. */
  #drawn = new Map();
  #fetchVotes;

  /**
   * @param {object} parts
   * @param {(round: LiveRound) => Promise<LiveRound | null>} parts.fetchVotes All the votes of a round.
   * @param {() => void} parts.onMore Older ones are to be shown.
   */
  constructor({ fetchVotes, onMore }) {
    this.#fetchVotes = fetchVotes;
    this.#more.addEventListener('click', () => {
      this.#shown += moreShown;
      onMore();
    });
  }

  /**
   * @param {Group} group
   * @param {DataSet} dataSet
   * @param {number} nowMs
   */
  show(group, { rounds }, nowMs) {
    this.#none.hidden = rounds.length > 0;
    this.#more.hidden = rounds.length <= this.#shown;
    const shown = new Map(rounds.slice(0, this.#shown).map((round) => [round.round, round]));
    keep(this.#list, [...shown.keys()], () => makeRow());
    for (const row of this.#list.children) {
      const round = shown.get(row.getAttribute('data-key') ?? '');
      if (round !== undefined) this.#showRow(row, round, sinceMs(group, round.startedAt, nowMs));
    }
    for (const key of this.#drawn.keys()) if (!shown.has(key)) this.#drawn.delete(key);
  }

  /**
   * @param {Element} row
   * @param {LiveRound} round
   * @param {number} ageMs
   */
  #showRow(row, round, ageMs) {
    const when = row.querySelector('.when');
    if (when !== null) setText(when, ago(ageMs));
    const state = JSON.stringify(round);
    if (this.#drawn.get(round.round) === state) return;
    this.#drawn.set(round.round, state);
    setAttribute(row, 'data-outcome', round.outcome);
    row.querySelector('.sign')?.replaceChildren(glyph(signOf(round)));
    /** @type {[string, string][]} */
    const texts = [
      ['.version', `v${round.version}`],
      ['.words', roundText(round)],
      ['.took', round.decidedMs === null ? '' : span(round.decidedMs)],
      ['.amount', amountText(round)],
    ];
    for (const [part, text] of texts) {
      const element = row.querySelector(part);
      if (element !== null) setText(element, text);
    }
    row.querySelector('.votes')?.replaceChildren(stripOf(round));
    const details = row.querySelector('details');
    if (details === null) return;
    const fill = () => void this.#fill(details, round);
    details.ontoggle = fill;
    fill();
  }

  /**
   * @param {HTMLDetailsElement} details
   * @param {LiveRound} round
   */
  async #fill(details, round) {
    if (!details.open) return;
    const whole = round.isShort ? ((await this.#fetchVotes(round)) ?? round) : round;
    const table = tableOf(whole);
    const body = details.querySelector('.body');
    body?.replaceChildren(...(table === null ? [make('p', 'empty', 'No vote has come.')] : [table]));
    if (whole.isShort)
      body?.append(make('p', 'empty', 'Refusals and the slowest votes only: the others could not be fetched.'));
  }
}

function makeRow() {
  const summary = make(
    'summary',
    '',
    make('span', 'sign'),
    make('span', 'version'),
    make('span', 'votes'),
    make('span', 'words'),
    make('span', 'amount'),
    make('span', 'took'),
    make('span', 'when'),
  );
  return make('li', '', make('details', '', summary, make('div', 'body')));
}

/** @param {LiveRound} round */
function signOf({ outcome }) {
  if (outcome === 'committed' || outcome === 'armed') return 'ok';
  if (outcome === 'aborted') return 'no';
  return outcome === 'open' ? 'open' : 'watch';
}

/**
 * @param {LiveRound} round
 * @returns {string}
 */
export function roundText(round) {
  const { outcome, phases, yes, no, silent, exposedMs, reason } = round;
  const shown = exposedMs === null ? '' : `, shown by all after ${span(exposedMs)}`;
  switch (outcome) {
    case 'committed':
      return phases === 'one' ? `sent in one phase${shown}` : `committed with ${yes} yes${shown}`;
    case 'aborted':
      return refusalText(round)
        .replace(` version ${round.version}`, '')
        .replace(/^Version \d+ was not committed: /, 'aborted: ')
        .replace(/^Version \d+ was not committed$/, 'aborted');
    case 'armed':
      return `decided with ${yes} yes, ${armedText(round)}`;
    case 'open':
      return `open: ${yes} yes, ${no} no, waiting for ${silent}`;
    case 'unknown':
      return `outcome unknown${reason === null ? '' : `: ${reason}`}`;
  }
}

/** @param {LiveRound} round */
function armedText({ activation }) {
  if (activation === null) return 'shown by all at its instant';
  return `armed at ${activation.armed} of ${activation.of}, shown by all at ${wallClock(activation.at)}`;
}

/** @param {LiveRound} round */
function amountText({ operations, bytes }) {
  const parts = [
    ...(operations === null ? [] : [counted(operations, 'operation')]),
    ...(bytes === null ? [] : [size(bytes)]),
  ];
  return parts.join(' · ');
}

/**
 * Votes in the order of time, from the start of the round to its decision. The words beside it say the same.
 *
 * @param {LiveRound} round
 * @returns {SVGElement}
 */
function stripOf({ votes, decidedMs, outcome }) {
  const middle = strip.height / 2;
  const endMs = Math.max(decidedMs ?? 0, ...votes.map(({ afterMs }) => afterMs), 0.001);
  /** @param {number} afterMs */
  const at = (afterMs) => strip.from + (afterMs / endMs) * (strip.to - strip.from);
  const svg = makeSvg(
    'svg',
    { viewBox: `0 0 ${strip.width} ${strip.height}`, 'aria-hidden': 'true', class: 'strip' },
    makeSvg('line', {
      x1: strip.from,
      x2: decidedMs === null ? strip.to : at(decidedMs),
      y1: middle,
      y2: middle,
      class: 'way',
    }),
  );
  if (decidedMs !== null) {
    const x = at(decidedMs);
    svg.append(makeSvg('line', { x1: x, x2: x, y1: 3, y2: strip.height - 3, class: `decided ${outcome}` }));
  }
  for (const { yes, afterMs } of votes) {
    const x = at(afterMs);
    if (yes) svg.append(makeSvg('circle', { cx: x, cy: middle, r: 3.4, class: 'yes' }));
    else svg.append(makeSvg('path', { d: `M${x - 3.5} ${middle - 3.5}l7 7m0-7l-7 7`, class: 'no' }));
  }
  return svg;
}

/**
 * @param {LiveRound} round
 * @returns {HTMLTableElement | null}
 */
function tableOf({ votes, version }) {
  if (votes.length === 0) return null;
  const sorted = [...votes].sort((one, other) => one.afterMs - other.afterMs || byName(one.node, other.node));
  const head = make('tr', '', ...['Node', 'Vote', 'After', 'Why'].map((name) => make('th', '', name)));
  for (const cell of head.children) cell.setAttribute('scope', 'col');
  const rows = sorted.map(({ node, yes, afterMs, reason }) =>
    make(
      'tr',
      yes ? '' : 'no',
      make('td', '', node),
      make('td', '', yes ? 'yes' : 'no'),
      make('td', '', span(afterMs)),
      make('td', '', reason),
    ),
  );
  const slowest = sorted.slice(-1).map(({ node }) => node);
  const caption = make('caption', '', `Votes on version ${version}; the last one came from ${listed(slowest)}`);
  return make('table', '', caption, make('thead', '', head), make('tbody', '', ...rows));
}
