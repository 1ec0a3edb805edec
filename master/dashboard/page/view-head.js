/**
 * The line that says what is the matter, and what stands around it.
 *
 * @import { Account } from './headline.js'
 * @import { DataSet, Group } from './model.js'
 */
import { byId, glyph, keep, make, setAttribute, setText } from './dom.js';
import { sinceMs } from './model.js';
import { ago, counted, grouped } from './words.js';

const glyphs = { calm: 'ok', watch: 'watch', alarm: 'alarm' };

export class HeadView {
  #account = byId('account', HTMLElement);
  #headline = byId('headline', HTMLHeadingElement);
  #facts = byId('facts', HTMLParagraphElement);
  #others = byId('others', HTMLUListElement);
  #announcer = byId('announcer', HTMLParagraphElement);
  #dataSets = byId('data-sets', HTMLElement);
  #said = '';

  /**
   * @param {Group} group
   * @param {DataSet} dataSet
   * @param {Account} account
   * @param {number} nowMs
   */
  show(group, dataSet, account, nowMs) {
    const { first, others } = account;
    setAttribute(this.#account, 'data-tone', first.tone);
    document.getElementById('headline-glyph')?.setAttribute('href', `#glyph-${glyphs[first.tone]}`);
    setText(this.#headline, first.text);
    setText(this.#facts, factsOf(group, dataSet, nowMs));
    this.#others.hidden = others.length === 0;
    const byKey = new Map(others.map((matter) => [matter.key, matter]));
    keep(this.#others, [...byKey.keys()], () => make('li', '', make('span', 'sign'), make('span', 'words')));
    for (const item of this.#others.children) {
      const matter = byKey.get(item.getAttribute('data-key') ?? '');
      if (matter === undefined || item.firstElementChild === null || item.lastElementChild === null) continue;
      if (item.getAttribute('data-tone') !== matter.tone) {
        item.setAttribute('data-tone', matter.tone);
        item.firstElementChild.replaceChildren(glyph(glyphs[matter.tone]));
      }
      setText(item.lastElementChild, matter.text);
    }
    document.title = `${first.tone === 'calm' ? '' : '! '}${first.text} · ${group.node}`;
    this.#announce(account);
  }

  /**
   * Said aloud when the matter changes, and not whenever its numbers do.
   *
   * @param {Account} account
   */
  #announce({ first, others }) {
    const key = [first, ...others].map((matter) => matter.key).join('\n');
    if (key === this.#said) return;
    this.#said = key;
    this.#announcer.textContent = [first, ...others.filter(({ tone }) => tone !== 'calm')]
      .map(({ text }) => text)
      .join('. ');
  }

  /**
   * @param {Group} group
   * @param {string} chosen
   * @param {(dataSet: string) => import('./headline.js').Tone} toneOf
   */
  showDataSets(group, chosen, toneOf) {
    const names = [...group.dataSets.keys()];
    this.#dataSets.hidden = names.length < 2;
    if (names.length < 2) return;
    keep(this.#dataSets, names, (name) => {
      const link = make('a', '', name);
      link.href = `#data-set=${encodeURIComponent(name)}`;
      return link;
    });
    for (const link of this.#dataSets.children) {
      const name = link.getAttribute('data-key') ?? '';
      setAttribute(link, 'aria-current', name === chosen ? 'page' : null);
      const tone = toneOf(name);
      setAttribute(link, 'data-tone', tone);
      setAttribute(link, 'aria-label', tone === 'calm' ? null : `${name}: something is the matter`);
    }
  }
}

/**
 * @param {Group} group
 * @param {DataSet} dataSet
 * @param {number} nowMs
 * @returns {string}
 */
function factsOf(group, { head, members, rounds }, nowMs) {
  const committed = rounds.find(({ outcome }) => outcome === 'committed');
  return [
    `${group.node} leads ${head.dataSet}`,
    `epoch ${head.epoch}`,
    head.tip === null ? 'no version yet' : `version ${head.tip.version}`,
    `${grouped(head.entries)} ${head.entries === 1 ? 'entry' : 'entries'}`,
    counted(members.size, 'slave'),
    ...(committed === undefined ? [] : [`last change ${ago(sinceMs(group, committed.startedAt, nowMs))}`]),
    ...(head.queued === 0 ? [] : [`${counted(head.queued, 'change')} waiting`]),
  ].join(' · ');
}
