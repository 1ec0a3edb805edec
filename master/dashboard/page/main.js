/**
 * Puts the parts of the page together: the stream, what is known, and the views.
 *
 * @import { LiveRound, LiveRounds, LiveStatus } from '../../http/live-bodies.js'
 * @import { ConnectionState } from './connection.js'
 * @import { DataSet, Group } from './model.js'
 * @import { Sample } from './series.js'
 */
import { Connection } from './connection.js';
import { byId, setAttribute, setText } from './dom.js';
import { accountOf } from './headline.js';
import { withRounds, withStatus } from './model.js';
import { sampleOf, withSample } from './series.js';
import { GroupView } from './view-group.js';
import { HeadView } from './view-head.js';
import { NodeView } from './view-node.js';
import { PlotsView } from './view-plots.js';
import { RoundsView } from './view-rounds.js';
import { ScheduledView } from './view-scheduled.js';
import { storedToken, TokenView } from './view-token.js';
import { calmSpan } from './words.js';

/** Ages count on, and the plots move on, although nothing is heard. */
const beatMs = 500;

/** @type {Group | null} */
let group = null;
/** @type {ConnectionState} */
let state = 'connecting';
let why = '';
/** By data set. @type {Map<string, readonly Sample[]>} */
const samples = new Map();
let isScheduled = false;

const content = byId('content', HTMLElement);
const banner = byId('banner', HTMLElement);
const connectionLine = byId('connection', HTMLElement);
const connection = new Connection({ url: '/v1/live', token: storedToken, onEvent: take, onState: turn });
const head = new HeadView();
const nodes = new NodeView();
const groupView = new GroupView({ onOpen: openNode, onSwitch: schedule });
const rounds = new RoundsView({ fetchVotes, onMore: schedule });
const plots = new PlotsView();
const scheduled = new ScheduledView();
const token = new TokenView(() => connection.open());

addEventListener('hashchange', schedule);
setInterval(() => {
  sample();
  schedule();
}, beatMs);
setUpTheme();
connection.open();

/**
 * @param {string} name
 * @param {unknown} data
 */
function take(name, data) {
  // What comes from the master that served this page is what its own code has typed.
  if (name === 'status') group = withStatus(group, /** @type {LiveStatus} */ (data), Date.now());
  else if (name === 'rounds') group = withRounds(group, /** @type {LiveRounds} */ (data));
  schedule();
}

/**
 * @param {ConnectionState} next
 * @param {string} reason
 */
function turn(next, reason) {
  state = next;
  why = reason;
  if (next === 'token') token.ask(reason);
  else token.hide();
  schedule();
}

function sample() {
  if (group === null || state !== 'live') return;
  for (const [name, dataSet] of group.dataSets)
    samples.set(name, withSample(samples.get(name) ?? [], sampleOf(dataSet, Date.now())));
}

/** However much arrives: what is shown is put together once for each picture that the screen shows. */
function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    show();
  });
}

function show() {
  const isOld = state === 'lost' && group !== null;
  // What is known is as old as the last word of the master: its ages stand still with it.
  const nowMs = isOld ? connection.heardAtMs : Date.now();
  showConnection(Date.now());
  content.hidden = group === null || state === 'token';
  content.classList.toggle('old', isOld);
  if (group === null || content.hidden) return;
  const known = group;
  const dataSet = chosenDataSet(known);
  if (dataSet === null) return;
  head.show(known, dataSet, accountOf(known, dataSet, nowMs), nowMs);
  head.showDataSets(known, dataSet.head.dataSet, (name) => toneOf(known, name, nowMs));
  scheduled.show(known, dataSet, nowMs);
  groupView.show(known, dataSet, nowMs);
  rounds.show(known, dataSet, nowMs);
  plots.show(known, dataSet, samples.get(dataSet.head.dataSet) ?? [], nowMs);
  nodes.show(known, dataSet, nowMs);
  if (isOld) document.title = `! No connection · ${known.node}`;
}

/** @param {number} nowMs */
function showConnection(nowMs) {
  setAttribute(connectionLine, 'data-state', state);
  setText(connectionLine, { connecting: 'connecting', live: 'live', lost: 'no connection', token: 'no token' }[state]);
  banner.hidden = state !== 'lost';
  if (state !== 'lost') {
    setText(banner, '');
    return;
  }
  const age = group === null ? '' : ` What you see is ${calmSpan(nowMs - connection.heardAtMs)} old.`;
  setText(banner, `No connection: ${why}.${age} Trying again.`);
}

/**
 * The data set that the address names, or the first.
 *
 * @param {Group} known
 * @returns {DataSet | null}
 */
function chosenDataSet(known) {
  const named = new URLSearchParams(location.hash.slice(1)).get('data-set');
  return known.dataSets.get(named ?? '') ?? [...known.dataSets.values()][0] ?? null;
}

/**
 * @param {Group} known
 * @param {string} name
 * @param {number} nowMs
 */
function toneOf(known, name, nowMs) {
  const dataSet = known.dataSets.get(name);
  return dataSet === undefined ? 'calm' : accountOf(known, dataSet, nowMs).first.tone;
}

/** @param {string} node */
function openNode(node) {
  nodes.open(node);
  schedule();
}

/**
 * @param {LiveRound} round
 * @returns {Promise<LiveRound | null>}
 */
async function fetchVotes(round) {
  const dataSet = group === null ? null : chosenDataSet(group);
  const given = storedToken();
  if (dataSet === null) return null;
  try {
    const response = await fetch(`/v1/rounds/${encodeURIComponent(dataSet.head.dataSet)}?limit=500`, {
      headers: given === null ? {} : { authorization: `Bearer ${given}` },
    });
    if (!response.ok) return null;
    /** @type {unknown} */
    const answer = await response.json();
    const body = /** @type {{ rounds: readonly LiveRound[] }} */ (answer);
    const found = body.rounds.find((each) => each.round === round.round);
    return found === undefined ? null : { ...round, votes: found.votes, isShort: false };
  } catch {
    return null;
  }
}

/** The system's, light, dark, and round again. */
function setUpTheme() {
  const button = byId('theme', HTMLButtonElement);
  const root = document.documentElement;
  const name = () => setText(button, `Theme: ${root.dataset['theme'] ?? 'system'}`);
  name();
  button.addEventListener('click', () => {
    const next = { light: 'dark', dark: '' }[root.dataset['theme'] ?? ''] ?? 'light';
    if (next === '') delete root.dataset['theme'];
    else root.dataset['theme'] = next;
    if (next === '') localStorage.removeItem('lockstep-theme');
    else localStorage.setItem('lockstep-theme', next);
    name();
    plots.repaint();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plots.repaint());
}
