/**
 * How far behind, and how long a round takes: the last five minutes.
 *
 * @import { DataSet, Group } from './model.js'
 * @import { Sample } from './series.js'
 * @import uPlot from 'uplot'
 */
import { byId, setText } from './dom.js';
import { decisionTimes, plotWindowMs, summaryOf } from './series.js';
import { counted, span } from './words.js';

/** Loaded before the modules, as a script of its own. */
const Plot = /** @type {typeof uPlot} */ (Reflect.get(globalThis, 'uPlot'));
const height = 150;

export class PlotsView {
  #lagElement = byId('lag-plot', HTMLElement);
  #timeElement = byId('time-plot', HTMLElement);
  #lagWords = byId('lag-words', HTMLElement);
  #timeWords = byId('time-words', HTMLElement);
  #lag;
  #time;

  constructor() {
    this.#lag = new Plot(
      optionsOf(
        [
          {
            label: 'slowest copy',
            stroke: () => color('--accent'),
            fill: () => color('--accent-faint'),
            width: 1.5,
            points: { show: false },
          },
        ],
        100,
      ),
      [[], []],
      this.#lagElement,
    );
    this.#time = new Plot(
      optionsOf(
        [
          { label: 'committed', ...dots('--accent', 5) },
          { label: 'not committed', ...dots('--alarm', 7) },
        ],
        1,
      ),
      [[], [], []],
      this.#timeElement,
    );
    const resize = new ResizeObserver(() => this.#resize());
    resize.observe(this.#lagElement);
    this.#resize();
  }

  /**
   * @param {Group} group
   * @param {DataSet} dataSet
   * @param {readonly Sample[]} samples
   * @param {number} nowMs
   */
  show(group, dataSet, samples, nowMs) {
    this.#range(this.#lag, nowMs, [samples.map(({ atMs }) => atMs / 1000), samples.map(({ worstMs }) => worstMs)]);
    const times = decisionTimes(group, dataSet, nowMs);
    this.#range(this.#time, nowMs, times);
    setText(this.#lagWords, lagText(samples));
    setText(this.#timeWords, timeText(times[1], times[2]));
  }

  /** Colours are drawn into the plots: they have to be drawn anew. */
  repaint() {
    colors.clear();
    this.#lag.redraw();
    this.#time.redraw();
  }

  /**
   * @param {uPlot} plot
   * @param {number} nowMs
   * @param {uPlot.AlignedData} data
   */
  #range(plot, nowMs, data) {
    plot.batch(() => {
      plot.setData(data, false);
      plot.setScale('x', { min: (nowMs - plotWindowMs) / 1000, max: nowMs / 1000 });
    });
  }

  #resize() {
    for (const [plot, element] of /** @type {const} */ ([
      [this.#lag, this.#lagElement],
      [this.#time, this.#timeElement],
    ]))
      plot.setSize({ width: Math.max(200, element.clientWidth), height });
  }
}

/**
 * @param {readonly Sample[]} samples
 * @returns {string}
 */
export function lagText(samples) {
  const now = samples.at(-1);
  const worst = Math.max(0, ...samples.map(({ worstMs }) => worstMs));
  if (now === undefined) return '';
  const state =
    now.worstMs === 0
      ? 'Nobody lacks a version now'
      : `Now ${counted(now.behind, 'slave')} behind, by up to ${span(now.worstMs)}`;
  return `${state}; at most ${span(worst)} in the last five minutes, of those who are heard.`;
}

/**
 * @param {readonly (number | null)[]} committed
 * @param {readonly (number | null)[]} refused
 * @returns {string}
 */
export function timeText(committed, refused) {
  const summary = summaryOf(committed);
  const not = summaryOf(refused);
  const refusals = not === null ? '' : ` ${counted(not.count, 'round')} not committed.`;
  if (summary === null) return `No round was committed in the last five minutes.${refusals}`;
  return `Half of ${counted(summary.count, 'round')} took ${span(summary.middle)} or less; the slowest ${span(summary.worst)}.${refusals}`;
}

/**
 * @param {string} variable
 * @param {number} size
 * @returns {Omit<uPlot.Series, 'label'>}
 */
function dots(variable, size) {
  const stroke = () => color(variable);
  return { stroke, paths: () => null, points: { show: true, size, stroke, fill: stroke } };
}

/**
 * @param {uPlot.Series[]} series
 * @param {number} leastMs The plot reaches at least so high: what is next to nothing shall look so.
 * @returns {uPlot.Options}
 */
function optionsOf(series, leastMs) {
  /** @type {uPlot.Axis} */
  const axis = {
    stroke: () => color('--ink-soft'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: () => color('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: 400,
    height,
    legend: { show: false },
    cursor: { show: false },
    series: [{}, ...series],
    scales: { x: { time: true }, y: { range: (_plot, _least, most) => [0, Math.max(leastMs, most * 1.15)] } },
    axes: [
      { ...axis, space: 70, size: 30, values: (_plot, seconds) => seconds.map(clockTime), grid: { show: false } },
      {
        ...axis,
        size: 58,
        space: 36,
        values: (_plot, values) => values.map((value) => (value === 0 ? '0' : span(value))),
      },
    ],
  };
}

/** @param {number} seconds */
function clockTime(seconds) {
  return clock.format(seconds * 1000);
}

const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit' });

/** A canvas knows no variables, and none of `light-dark()`: an element that is coloured so tells what it comes to. */
const probe = document.createElement('i');
probe.className = 'probe';
document.documentElement.append(probe);

/** What each came to: asking costs the browser a new look at all styles. @type {Map<string, string>} */
const colors = new Map();

/** @param {string} variable */
function color(variable) {
  let known = colors.get(variable);
  if (known === undefined) {
    probe.style.color = `var(${variable})`;
    known = getComputedStyle(probe).color;
    colors.set(variable, known);
  }
  return known;
}
