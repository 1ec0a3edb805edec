/**
 * All that is known of one node.
 *
 * @import { DataSet, Group, Member } from './model.js'
 */
import { byId, keep, make, setText } from './dom.js';
import { behindMs, inDoubtMs, silenceMs, sinceMs } from './model.js';
import { standingOf } from './places.js';
import { ago, counted, grouped, size, span } from './words.js';

export class NodeView {
  #dialog = byId('node-details', HTMLDialogElement);
  #title = byId('node-title', HTMLHeadingElement);
  #facts = byId('node-facts', HTMLDListElement);
  #node = '';

  constructor() {
    byId('close-node', HTMLButtonElement).addEventListener('click', () => this.#dialog.close());
    // A click beside it closes it, as Escape does.
    this.#dialog.addEventListener('click', (event) => event.target === this.#dialog && this.#dialog.close());
  }

  /** @param {string} node */
  open(node) {
    this.#node = node;
    this.#dialog.showModal();
  }

  /**
   * @param {Group} group
   * @param {DataSet} dataSet
   * @param {number} nowMs
   */
  show(group, dataSet, nowMs) {
    if (!this.#dialog.open) return;
    setText(this.#title, this.#node);
    const member = dataSet.members.get(this.#node);
    const facts = this.#node === group.node ? masterFacts(dataSet) : memberFacts(group, member, nowMs);
    const shown = new Map(facts);
    keep(this.#facts, [...shown.keys()], (name) => make('div', '', make('dt', '', name), make('dd', '')));
    for (const row of this.#facts.children) {
      if (row.lastElementChild !== null)
        setText(row.lastElementChild, shown.get(row.getAttribute('data-key') ?? '') ?? '');
    }
  }
}

/**
 * @param {DataSet} dataSet
 * @returns {[string, string][]}
 */
function masterFacts({ head }) {
  return [
    ['Role', 'master'],
    ['State', head.phase === 'leading' && !head.mayCommit ? 'leading, and may not commit yet' : head.phase],
    ['Epoch', String(head.epoch)],
    ['Version', head.tip === null ? 'none' : String(head.tip.version)],
    ['Chain id', head.tip?.chainId ?? '–'],
    ['Entries', grouped(head.entries)],
    ['Changes waiting', grouped(head.queued)],
    ['Open rounds', String(head.openRounds.length)],
    ['History', size(head.historyBytes)],
  ];
}

/**
 * @param {Group} group
 * @param {Member | undefined} member
 * @param {number} nowMs
 * @returns {[string, string][]}
 */
function memberFacts(group, member, nowMs) {
  if (member === undefined) return [['State', 'no longer a member']];
  const { body } = member;
  const unheardMs = silenceMs(member, nowMs);
  const resyncs = Object.entries(body.resyncs).filter(([, count]) => count > 0);
  const veto = body.lastVeto;
  return [
    ['Role', 'slave'],
    ['State', standingOf(member, nowMs).state],
    ['Says of itself', body.state ?? 'nothing yet'],
    ['Version', body.tip === null ? 'none' : `${body.tip.version} (epoch ${body.tip.epoch})`],
    ['Behind', behindText(member, nowMs)],
    ['Heard', unheardMs === null ? 'not in this reign' : ago(unheardMs)],
    ['Round trip', body.roundTripMs === null ? '–' : span(body.roundTripMs)],
    ['Last vote', lastVoteText(body)],
    ...optional(
      'Last veto',
      veto === null ? null : `version ${veto.version}, ${ago(sinceMs(group, veto.at, nowMs))}: ${veto.reason}`,
    ),
    [
      'In doubt',
      body.inDoubt === 0 ? 'nothing' : `${counted(body.inDoubt, 'round')} for ${span(inDoubtMs(member, nowMs))}`,
    ],
    ['Repairs asked for', grouped(body.repairs)],
    ['Snapshots taken', grouped(body.snapshots)],
    ...optional(
      'Brought up to date',
      resyncs.length === 0 ? null : resyncs.map(([cause, count]) => `${cause} ${count}×`).join(', '),
    ),
  ];
}

/**
 * @param {string} name
 * @param {string | null} value
 * @returns {[string, string][]}
 */
function optional(name, value) {
  return value === null ? [] : [[name, value]];
}

/**
 * @param {Member} member
 * @param {number} nowMs
 * @returns {string}
 */
export function behindText(member, nowMs) {
  const { behind } = member.body;
  if (behind === 0) return 'nothing';
  const lackMs = behindMs(member, nowMs);
  const howLong = lackMs > 0 ? `, for ${span(lackMs)}` : '';
  return behind === null ? `unknown${howLong}` : `${counted(behind, 'version')}${howLong}`;
}

/** @param {Member['body']} body */
export function lastVoteText({ lastVote }) {
  if (lastVote === null) return '–';
  if (lastVote.yes) return `yes to ${lastVote.version}`;
  return `no to ${lastVote.version}${lastVote.reason === '' ? '' : `: ${lastVote.reason}`}`;
}
