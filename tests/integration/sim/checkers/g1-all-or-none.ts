import { hasBit } from '../../../../shared/protocol/kernel/bitmap.js';
import type { Tip } from '../../../../shared/protocol/kernel/ids.js';
import { showTip, tipKey } from '../../../../shared/protocol/kernel/ids.js';
import type { VoterPolicy } from '../../../../shared/protocol/kernel/outcome.js';
import type { CheckerFactory } from './checker.js';
import type { Observation } from '../observation.js';
import type { Truth } from '../truth.js';

/**
 * G1: no slave exposes a version whose round aborted; every voter of a committed round exposes it, or a later version
 * containing it, in the end. Stronger: nothing is exposed that no master durably committed, and nothing is committed
 * without the yes of every voter that its prepare names, or of as many as its caller asked for.
 */
export const g1AllOrNone: CheckerFactory = ({ takeOver, truth, fail, judged }) => {
  const exposed = new Map<string, Tip | null>();
  const voted = new Map<string, Map<string, Tip>>();
  const exposedBy = new Map<string, string>();
  const decisions = new Decisions(truth, (text) => {
    fail('G1', text);
  });

  const onAborted = (tip: Tip): void => {
    const node = exposedBy.get(tipKey(tip));
    if (node !== undefined) fail('G1', `${node} exposed ${showTip(tip)}, whose round aborted`);
    if (truth.isCommitted(tip)) fail('G1', `${showTip(tip)} was committed, and its abort was sent`);
  };

  return {
    id: 'G1',
    observe: (observation) => {
      decisions.observe(observation);
      if (observation.kind === 'diskLost') voted.delete(observation.node);
      if (observation.kind === 'exposed') {
        const { node, tip } = observation;
        exposed.set(node, tip);
        if (tip === null) return;
        exposedBy.set(tipKey(tip), node);
        judged('G1');
        if (truth.isAborted(tip)) fail('G1', `${node} exposes ${showTip(tip)}, whose round aborted`);
        if (!truth.isCommitted(tip)) fail('G1', `${node} exposes ${showTip(tip)}, which nobody durably committed`);
      } else if (
        observation.kind === 'sent' &&
        observation.role === 'master' &&
        observation.packet.message.kind === 'abort'
      ) {
        onAborted(observation.packet.message.to);
      } else if (observation.kind === 'sent' && observation.packet.message.kind === 'vote') {
        const { upToDate, canProcess, to } = observation.packet.message;
        if (!upToDate || !canProcess) return;
        const votes = voted.get(observation.node) ?? new Map<string, Tip>();
        votes.set(tipKey(to), to);
        voted.set(observation.node, votes);
      }
    },
    finish: () => {
      const pasts = new Map<string, ReadonlySet<string>>();
      for (const [node, votes] of voted) {
        const tip = exposed.get(node) ?? null;
        const past = pasts.get(tipKey(tip)) ?? truth.past(tip);
        pasts.set(tipKey(tip), past);
        for (const vote of votes.values()) {
          if (!truth.isCommitted(vote) || past.has(tipKey(vote))) continue;
          // Two masters on two sides of a cut, which `live` voters allow: one side's changes give way, and it is told so.
          if (takeOver && !truth.contains(vote, tip)) continue;
          fail('G1', `${node} voted for ${showTip(vote)}, which committed, and ends at ${showTip(tip)} without it`);
        }
      }
    },
  };
};

/** A round as its prepare names it, and the yes votes that have come to its master. */
interface AskedRound {
  readonly tip: Tip;
  readonly voters: Uint8Array;
  readonly yes: Set<string>;
}

/** The votes behind each decision, as the packets tell: which slots a prepare names, who holds them, and who said yes. */
class Decisions {
  readonly #truth: Truth;
  readonly #fail: (text: string) => void;
  /** By master and slot: who was welcomed to it. */
  readonly #holders = new Map<string, string>();
  readonly #policies = new Map<number, VoterPolicy>();
  readonly #rounds = new Map<string, AskedRound>();
  #judged = 0;

  constructor(truth: Truth, fail: (text: string) => void) {
    this.#truth = truth;
    this.#fail = fail;
  }

  observe(observation: Observation): void {
    if (observation.kind === 'replicating') this.#policies.set(observation.version, observation.voters);
    if (observation.kind === 'sent' && observation.role === 'master') this.#onSent(observation);
    if (observation.kind === 'receiving' && observation.role === 'master') this.#onReceiving(observation);
    for (; this.#judged < this.#truth.commits; this.#judged += 1) {
      const tip = this.#truth.commitNumber(this.#judged);
      if (tip !== null) this.#judge(tip);
    }
  }

  #onSent({ node, packet: { to, message } }: Extract<Observation, { kind: 'sent' }>): void {
    if (message.kind === 'welcome' && to !== 'all') this.#holders.set(`${node} ${message.slot}`, to.node);
    if (message.kind !== 'prepare' || this.#rounds.has(tipKey(message.to))) return;
    this.#rounds.set(tipKey(message.to), { tip: message.to, voters: message.voters, yes: new Set() });
  }

  #onReceiving({ node, envelopes }: Extract<Observation, { kind: 'receiving' }>): void {
    for (const { from, message } of envelopes) {
      if (message.kind !== 'vote' || !message.upToDate || !message.canProcess) continue;
      const round = this.#rounds.get(tipKey(message.to));
      for (let slot = 0; round !== undefined && slot < round.voters.length * 8; slot += 1) {
        if (this.#holders.get(`${node} ${slot}`) === from.node && hasBit(round.voters, slot)) round.yes.add(from.node);
      }
    }
  }

  /** A change without a prepare went out in one phase, or to no voters at all: nobody was to be asked. */
  #judge(tip: Tip): void {
    const round = this.#rounds.get(tipKey(tip));
    const policy = this.#policies.get(tip.version);
    if (round === undefined || policy === undefined) return;
    let asked = 0;
    for (let slot = 0; slot < round.voters.length * 8; slot += 1) if (hasBit(round.voters, slot)) asked += 1;
    const needed = typeof policy === 'number' ? Math.min(policy, asked) : asked;
    if (round.yes.size >= needed) return;
    const votes = `${round.yes.size} of ${asked} voters said yes`;
    this.#fail(`${showTip(tip)} was committed although only ${votes}, under the voters policy ${policy}`);
  }
}
