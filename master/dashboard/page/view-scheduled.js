/**
 * Scheduled changes: what waits for its instant, and how near to one instant the newest was shown.
 *
 * @import { DataSet, Group } from './model.js'
 */
import { byId, make, setAttribute, setText } from './dom.js';
import { shownLast, waitingFor } from './scheduled.js';

export class ScheduledView {
  #panel = byId('scheduled', HTMLElement);
  #waiting = new Entry(['Shows', 'Armed']);
  #past = new Entry(['Showed', 'At', 'Apart']);

  constructor() {
    byId('scheduled-entries', HTMLElement).append(this.#waiting.element, this.#past.element);
  }

  /**
   * @param {Group} group
   * @param {DataSet} dataSet
   * @param {number} nowMs
   */
  show(group, dataSet, nowMs) {
    const waiting = waitingFor(group, dataSet, nowMs);
    const past = shownLast(group, dataSet, nowMs);
    this.#panel.hidden = waiting === null && past === null;
    this.#waiting.show(waiting, waiting === null ? [] : [waiting.when, waiting.armed]);
    this.#past.show(past, past === null ? [] : [past.when, past.shown, past.spread]);
  }
}

/** A heading, and what is to be said of it; the first of that is an instant. */
class Entry {
  element;
  #title = make('h3', '');
  /** @type {HTMLElement[]} */
  #values = [];
  #time = make('time', '');

  /** @param {readonly string[]} names */
  constructor(names) {
    const list = make('dl', '');
    for (const [index, name] of names.entries()) {
      const value = make('dd', '', ...(index === 0 ? [this.#time] : []));
      this.#values.push(index === 0 ? this.#time : value);
      list.append(make('div', '', make('dt', '', name), value));
    }
    this.element = make('section', 'entry', this.#title, list);
  }

  /**
   * @param {{ readonly title: string, readonly at: string, readonly tone: string } | null} what Null: there is none.
   * @param {readonly string[]} texts
   */
  show(what, texts) {
    this.element.hidden = what === null;
    if (what === null) return;
    setText(this.#title, what.title);
    setAttribute(this.#time, 'datetime', what.at);
    setAttribute(this.element, 'data-tone', what.tone);
    for (const [index, value] of this.#values.entries()) setText(value, texts[index] ?? '');
  }
}
