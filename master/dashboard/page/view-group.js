/**
 * The group as a picture, and the same as a table.
 *
 * @import { DataSet, Group, Member } from './model.js'
 * @import { PlaceName } from './places.js'
 */
import { byId, glyph, keep, make, setAttribute, setText } from './dom.js';
import { silenceMs } from './model.js';
import { placeNames, placesOf, standingOf } from './places.js';
import { behindText, lastVoteText } from './view-node.js';
import { counted, span } from './words.js';

/** @type {Readonly<Record<PlaceName, { glyph: string, title: string }>>} */
const looks = {
  stuck: { glyph: 'alarm', title: 'Needs somebody' },
  silent: { glyph: 'silent', title: 'Not heard' },
  behind: { glyph: 'behind', title: 'Behind' },
  well: { glyph: 'ok', title: 'Up to date' },
};
/** Up to so many nodes are cards, then names, and beyond that dots. */
const fewNodes = 16;
const someNodes = 80;
const findable = 30;
const columns = ['Node', 'Role', 'State', 'Version', 'Behind', 'Heard', 'Last vote', 'In doubt', 'Round trip'];

export class GroupView {
  #picture = byId('picture', HTMLElement);
  #table = byId('table', HTMLElement);
  #find = byId('find', HTMLInputElement);
  #asPicture = byId('as-picture', HTMLButtonElement);
  #asTable = byId('as-table', HTMLButtonElement);
  #master = make('button', 'master');
  /** @type {Map<PlaceName, { section: HTMLElement, title: HTMLElement, list: HTMLElement }>} */
  #places = new Map();
  #body = make('tbody', '');
  /** What was searched for when the nodes were last marked. */
  #marked = '';
  #onOpen;
  #onSwitch;

  /**
   * @param {object} parts
   * @param {(node: string) => void} parts.onOpen Somebody wants to know more about a node.
   * @param {() => void} parts.onSwitch Picture or table: it has to be shown anew.
   */
  constructor({ onOpen, onSwitch }) {
    this.#onOpen = onOpen;
    this.#onSwitch = onSwitch;
    this.#buildPicture();
    this.#buildTable();
    this.#asPicture.addEventListener('click', () => this.#choose(true));
    this.#asTable.addEventListener('click', () => this.#choose(false));
    this.#find.addEventListener('input', () => this.#mark());
    this.#picture.addEventListener('keydown', (event) => this.#move(event));
  }

  /**
   * @param {Group} group
   * @param {DataSet} dataSet
   * @param {number} nowMs
   */
  show(group, dataSet, nowMs) {
    this.#find.hidden = dataSet.members.size < findable;
    this.#showMaster(group, dataSet);
    if (this.#table.hidden) this.#showPicture(dataSet, nowMs);
    else this.#showTable(group, dataSet, nowMs);
    this.#mark();
  }

  #buildPicture() {
    this.#master.type = 'button';
    this.#master.addEventListener('click', () => this.#onOpen(this.#master.getAttribute('data-node') ?? ''));
    const places = make('div', 'places');
    for (const name of placeNames) {
      const title = make('h3', '');
      const list = make('ul', 'nodes');
      const section = make('section', `place ${name}`, title, list);
      title.id = `place-${name}`;
      list.setAttribute('aria-labelledby', title.id);
      this.#places.set(name, { section, title, list });
      places.append(section);
    }
    this.#picture.append(make('div', 'origin', this.#master), places);
  }

  #buildTable() {
    const head = make('tr', '', ...columns.map((name) => make('th', '', name)));
    for (const cell of head.children) cell.setAttribute('scope', 'col');
    this.#table.append(
      make(
        'table',
        '',
        make('caption', 'visually-hidden', 'Every node of the group, the worst first'),
        make('thead', '', head),
        this.#body,
      ),
    );
  }

  /** @param {boolean} picture */
  #choose(picture) {
    this.#picture.hidden = !picture;
    this.#table.hidden = picture;
    this.#asPicture.setAttribute('aria-pressed', String(picture));
    this.#asTable.setAttribute('aria-pressed', String(!picture));
    this.#onSwitch();
  }

  /**
   * @param {Group} group
   * @param {DataSet} dataSet
   */
  #showMaster({ node }, { head }) {
    const version = head.tip === null ? 'no version' : `version ${head.tip.version}`;
    if (this.#master.childElementCount === 0)
      this.#master.append(
        make('span', 'role', 'master'),
        make('span', 'name'),
        make('span', 'version'),
        make('span', 'state'),
      );
    setAttribute(this.#master, 'data-node', node);
    const state = head.phase === 'leading' ? (head.mayCommit ? 'leading' : 'may not commit yet') : head.phase;
    const texts = ['master', node, version, `${state} · epoch ${head.epoch}`];
    texts.forEach((text, index) => {
      const part = this.#master.children[index];
      if (part !== undefined) setText(part, text);
    });
  }

  /**
   * @param {DataSet} dataSet
   * @param {number} nowMs
   */
  #showPicture(dataSet, nowMs) {
    const count = dataSet.members.size;
    const density = count <= fewNodes ? 'cards' : count <= someNodes ? 'names' : 'dots';
    setAttribute(this.#picture, 'data-density', density);
    for (const { name, nodes } of placesOf(dataSet, nowMs)) {
      const place = this.#places.get(name);
      if (place === undefined) continue;
      place.section.hidden = nodes.length === 0 && (name !== 'well' || count > 0);
      setText(place.title, `${looks[name].title} · ${nodes.length}`);
      keep(place.list, nodes, (node) => this.#makeNode(node, looks[name].glyph));
      for (const item of place.list.children) {
        const member = dataSet.members.get(item.getAttribute('data-key') ?? '');
        if (member !== undefined && item.firstElementChild !== null)
          showNode(item.firstElementChild, member, nowMs, density === 'dots' && name === 'well');
      }
    }
    this.#keepOneStop();
  }

  /**
   * @param {string} node
   * @param {string} sign
   */
  #makeNode(node, sign) {
    const button = make(
      'button',
      'node',
      glyph(sign),
      make('span', 'name', node),
      ' ',
      make('span', 'version'),
      ' ',
      make('span', 'state'),
    );
    button.type = 'button';
    button.tabIndex = -1;
    button.addEventListener('click', () => this.#onOpen(node));
    return make('li', '', button);
  }

  /** One stop for the Tab key in the whole picture of nodes; from there the arrows go on. */
  #keepOneStop() {
    const buttons = this.#buttons();
    const stops = buttons.filter((button) => button.tabIndex === 0);
    const focused = buttons.find((button) => button === document.activeElement);
    const stop = focused ?? stops[0] ?? buttons[0];
    for (const button of stops) if (button !== stop) button.tabIndex = -1;
    if (stop !== undefined) stop.tabIndex = 0;
  }

  #buttons() {
    return [...this.#picture.querySelectorAll('.node')].filter((button) => button instanceof HTMLButtonElement);
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const buttons = this.#buttons();
    const from = buttons.findIndex((button) => button === document.activeElement);
    const here = buttons[from];
    if (here === undefined) return;
    const to = targetOf(event.key, buttons, from);
    if (to === undefined) return;
    event.preventDefault();
    here.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }

  /** What is searched for stands out, and the rest steps back. */
  #mark() {
    const wanted = this.#find.hidden ? '' : this.#find.value.trim().toLowerCase();
    if (wanted === '' && this.#marked === '') return;
    this.#marked = wanted;
    for (const item of [...this.#picture.querySelectorAll('.nodes > li'), ...this.#body.rows]) {
      const node = (item.getAttribute('data-key') ?? '').toLowerCase();
      item.classList.toggle('away', wanted !== '' && !node.includes(wanted));
      item.classList.toggle('found', wanted !== '' && node.includes(wanted));
    }
  }

  /**
   * @param {Group} group
   * @param {DataSet} dataSet
   * @param {number} nowMs
   */
  #showTable(group, dataSet, nowMs) {
    const nodes = placesOf(dataSet, nowMs).flatMap((place) => place.nodes);
    keep(this.#body, [`master:${group.node}`, ...nodes.map((node) => `slave:${node}`)], () => this.#makeRow());
    const { head } = dataSet;
    for (const row of this.#body.rows) {
      const key = row.getAttribute('data-key') ?? '';
      const node = key.slice(key.indexOf(':') + 1);
      const member = key.startsWith('slave:') ? dataSet.members.get(node) : undefined;
      const version = head.tip === null ? 'none' : String(head.tip.version);
      const texts =
        member === undefined
          ? [node, 'master', head.phase, version, '–', '–', '–', '–', '–']
          : [node, ...memberCells(member, nowMs)];
      if (member !== undefined) setAttribute(row, 'data-place', standingOf(member, nowMs).place);
      texts.forEach((text, index) => {
        const cell = row.cells[index];
        const target = index === 0 ? cell?.firstElementChild : cell;
        if (target !== undefined && target !== null) setText(target, text);
      });
    }
  }

  #makeRow() {
    const open = make('button', 'link');
    open.type = 'button';
    open.addEventListener('click', () => this.#onOpen(open.textContent ?? ''));
    const first = make('th', '', open);
    first.scope = 'row';
    return make('tr', '', first, ...columns.slice(1).map(() => make('td', '')));
  }
}

/**
 * @param {Element} button
 * @param {Member} member
 * @param {number} nowMs
 * @param {boolean} isDot Its words aren't shown: they are its name then, and what a pointer on it says.
 */
function showNode(button, member, nowMs, isDot) {
  const { node, tip } = member.body;
  const { state } = standingOf(member, nowMs);
  const version = tip === null ? 'none' : `v${tip.version}`;
  const words = `${node} ${version} ${state}`;
  const [, , versionPart, statePart] = button.children;
  if (versionPart === undefined || statePart === undefined) return;
  setAttribute(button, 'aria-label', isDot ? words : null);
  // The words are the title too: when they stand, everything does. Most nodes, most of the time.
  if (button.getAttribute('title') === words) return;
  button.setAttribute('title', words);
  if (versionPart.textContent !== version) {
    // Lights up for a moment; not when it is shown for the first time.
    if (versionPart.textContent !== '' && !isDot) flash(button);
    versionPart.textContent = version;
  }
  setText(statePart, state);
  setAttribute(button, 'data-slow', state === 'slow to answer' ? 'true' : null);
}

/** @param {Element} button */
function flash(button) {
  button.classList.remove('changed');
  requestAnimationFrame(() => button.classList.add('changed'));
}

/**
 * @param {Member} member
 * @param {number} nowMs
 * @returns {string[]}
 */
function memberCells(member, nowMs) {
  const { body } = member;
  const unheardMs = silenceMs(member, nowMs);
  return [
    'slave',
    standingOf(member, nowMs).state,
    body.tip === null ? 'none' : String(body.tip.version),
    body.behind === 0 ? '0' : behindText(member, nowMs),
    unheardMs === null ? 'never' : unheardMs < 2000 ? 'now' : span(unheardMs),
    lastVoteText(body),
    body.inDoubt === 0 ? '–' : counted(body.inDoubt, 'round'),
    body.roundTripMs === null ? '–' : span(body.roundTripMs),
  ];
}

/**
 * @param {string} key
 * @param {readonly HTMLButtonElement[]} buttons
 * @param {number} from
 * @returns {HTMLButtonElement | undefined}
 */
function targetOf(key, buttons, from) {
  switch (key) {
    case 'ArrowRight':
      return buttons[from + 1];
    case 'ArrowLeft':
      return buttons[from - 1];
    case 'Home':
      return buttons[0];
    case 'End':
      return buttons.at(-1);
    case 'ArrowDown':
      return nearest(buttons, from, 1);
    case 'ArrowUp':
      return nearest(buttons, from, -1);
    default:
      return undefined;
  }
}

/**
 * The one above or below: of the next row in that direction, the one that is least to the side.
 *
 * @param {readonly HTMLButtonElement[]} buttons
 * @param {number} from
 * @param {1 | -1} direction
 * @returns {HTMLButtonElement | undefined}
 */
function nearest(buttons, from, direction) {
  const here = buttons[from]?.getBoundingClientRect();
  if (here === undefined) return undefined;
  const distances = buttons.map((button) => {
    const there = button.getBoundingClientRect();
    return { button, down: (there.top - here.top) * direction, aside: Math.abs(there.left - here.left) };
  });
  const beyond = distances.filter(({ down }) => down > here.height / 2);
  return beyond.sort((one, other) => one.down + one.aside * 2 - (other.down + other.aside * 2))[0]?.button;
}
