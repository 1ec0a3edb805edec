import * as fc from 'fast-check';
import type { Epoch, NodeId, Peer, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { noEpoch } from '../../../shared/protocol/kernel/ids.js';
import type { Message } from '../../../shared/protocol/wire/messages.js';
import { epochs, messages } from '../vectors/arbitraries.js';
import { groupOffsetMs } from '../harness/cores.js';
import { guardedGroup, knownTips, type GuardedGroup } from './guarded-group.js';
import { hold, stepsTarget, type FuzzTarget } from './target.js';

/** Who a message claims to be from. */
type Sender = 'stranger' | 'member' | 'member of another start' | 'master' | 'master of another start';
/** The reign that it claims to be of. */
type Reign = 'none' | 'older' | 'true' | 'newer' | 'any';

type MessageStep =
  | { readonly kind: 'load'; readonly forMs: number }
  | {
      readonly kind: 'say';
      readonly to: 'a' | 'b' | 'master';
      readonly from: Sender;
      readonly reign: Reign;
      readonly anyEpoch: Epoch;
      readonly message: Message;
      /** Which tips and rounds are replaced by ones that the group knows: made-up ones would be refused at the door. */
      readonly picks: readonly number[];
    };

const load: fc.Arbitrary<MessageStep> = fc.record({
  kind: fc.constant('load'),
  forMs: fc.oneof({ weight: 4, arbitrary: fc.nat(20) }, { weight: 1, arbitrary: fc.nat(700) }),
});

function said(senders: readonly Sender[], reigns: readonly Reign[]): fc.Arbitrary<MessageStep> {
  return fc.record({
    kind: fc.constant('say'),
    to: fc.constantFrom('a', 'b', 'master'),
    from: fc.constantFrom(...senders),
    reign: fc.constantFrom(...reigns),
    anyEpoch: epochs,
    message: messages,
    picks: fc.array(fc.nat(60), { minLength: 1, maxLength: 6 }),
  });
}

const stranger: Peer = { node: 'zz' as NodeId, incarnation: { storeId: '77'.repeat(16), start: 3 } };

/** A group under load, to which somebody says things. */
class Subject {
  readonly #group: GuardedGroup = guardedGroup(['a', 'b']);
  readonly #epoch = this.#cores.master.core.view(this.#cores.nowMs).epoch;
  #version = 0;

  constructor() {
    // Until a reign has committed something, anybody who shows more than the original makes its master step back (G13).
    this.#load(100);
  }

  get #cores(): GuardedGroup['cores'] {
    return this.#group.cores;
  }

  feed(step: MessageStep): void {
    if (step.kind === 'load') return this.#load(step.forMs);
    const message = grafted(step.message, knownTips(this.#cores), step.picks, this.#epoch);
    this.#group.tell(step.to, { from: this.#peer(step.from), epoch: this.#reign(step), message });
  }

  #load(forMs: number): void {
    this.#version += 1;
    this.#cores.replicate(this.#version, { timeoutMs: 60_000, phases: this.#version % 5 === 0 ? 'one' : 'two' });
    this.#cores.run(forMs);
  }

  #peer(sender: Sender): Peer {
    if (sender === 'stranger') return stranger;
    const { peer } = sender.startsWith('member') ? this.#cores.slave('a') : this.#cores.master;
    if (!sender.endsWith('start')) return peer;
    return { ...peer, incarnation: { ...peer.incarnation, start: peer.incarnation.start + 1 } };
  }

  #reign({ reign, anyEpoch }: MessageStep & { kind: 'say' }): Epoch {
    switch (reign) {
      case 'none':
        return noEpoch;
      case 'true':
        return this.#epoch;
      case 'older':
        return { number: this.#epoch.number, claimant: '0'.repeat(32) };
      case 'newer':
        return { number: this.#epoch.number + 1, claimant: anyEpoch.claimant };
      case 'any':
        return anyEpoch;
    }
  }

  end(): void {
    this.#group.end();
  }

  /** The copies went along what the true master said, every version once and in order, and nothing else was asked. */
  endUndisturbed(): void {
    for (let more = 0; more < 2; more += 1) this.#load(0);
    this.#cores.run(5000);
    const all = Array.from({ length: this.#version }, (_, index) => index + 1);
    for (const slave of this.#cores.slaves) {
      hold(slave.applied.join() === all.join(), `${slave.name} shows ${slave.applied.join()} of ${all.join()}`);
      const calls = slave.calls.filter((call) => !call.startsWith('commit '));
      const odd = calls.find((call) => !call.startsWith('prepare ') || Number(call.slice(8)) > this.#version);
      hold(odd === undefined, `${slave.name}: the user layer was told "${odd ?? ''}"`);
      hold(slave.halted === null, `${slave.name} halted: ${slave.halted ?? ''}`);
      const { state, clock } = slave.core.view(this.#cores.nowMs);
      hold(state === 'current', `${slave.name} is ${state}`);
      const groupMs = this.#cores.nowMs + groupOffsetMs;
      const isRight = clock !== null && clock.earliestMs <= groupMs && groupMs <= clock.latestMs;
      hold(isRight, `${slave.name} takes ${JSON.stringify(clock)} for group time ${groupMs}`);
    }
    const kinds = [...this.#cores.results.values()].map(({ kind }) => kind);
    hold(
      kinds.every((kind) => kind === 'committed'),
      `outcomes: ${kinds.join()}`,
    );
    hold(this.#cores.master.halted === null, `the master halted: ${this.#cores.master.halted ?? ''}`);
  }
}

/** The message with some of its tips and rounds replaced by ones that the group knows. */
function grafted(message: Message, tips: readonly Tip[], picks: readonly number[], epoch: Epoch): Message {
  let at = 0;
  const pick = (): number => picks[at++ % picks.length] ?? 0;
  const visit = (value: unknown): unknown => {
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
    if (Array.isArray(value)) return value.map(visit);
    if (isTip(value)) return pick() < 40 ? (tips[tips.length - 1 - pick()] ?? value) : value;
    if (isRound(value)) return pick() < 40 ? { epoch, number: pick() % 12 } : value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, visit(inner)]));
  };
  const changed = visit(message) as Message;
  if (changed.kind !== 'prepare' || pick() >= 40) return changed;
  return { ...changed, round: 1 + (pick() % 40), voters: Uint8Array.of(0xff), lowestOpenRound: pick() % 12 };
}

function isTip(value: object): value is Tip {
  return 'epoch' in value && 'version' in value && 'chain' in value;
}

function isRound(value: object): value is RoundId {
  return 'epoch' in value && 'number' in value;
}

/**
 * Of reigns that are over, or of none. Left out is what moves something by itself, by design and without keys: a promise
 * to a newer reign makes a master claim above it, a report tells of one, a join lets a newcomer in.
 */
const overheard = said(
  ['stranger', 'member', 'member of another start', 'master', 'master of another start'],
  ['none', 'older'],
).filter((step) => step.kind !== 'say' || !['promise', 'report', 'join'].includes(step.message.kind));

export const strangers: FuzzTarget = stepsTarget({
  name: 'strangers',
  about:
    'sound messages of all kinds, of reigns that are over or of none, from strangers, members and masters: to cores under load, which go on as if nothing had been said',
  chunkInputs: 1500,
  historyInputs: 150,
  step: fc.oneof({ weight: 1, arbitrary: load }, { weight: 6, arbitrary: overheard }),
  feed: (history) => {
    const subject = new Subject();
    for (const step of history) subject.feed(step);
    subject.endUndisturbed();
  },
});

export const forgers: FuzzTarget = stepsTarget({
  name: 'forgers',
  about:
    'the same from a forger, who names the true reign, newer ones and the tips that it overheard: no exception, and what holds for any master holds under a false one',
  chunkInputs: 1500,
  historyInputs: 150,
  step: fc.oneof(
    { weight: 1, arbitrary: load },
    {
      weight: 6,
      arbitrary: said(
        ['stranger', 'member', 'member of another start', 'master', 'master of another start'],
        ['none', 'older', 'true', 'true', 'true', 'true', 'newer', 'any'],
      ),
    },
  ),
  feed: (history) => {
    const subject = new Subject();
    for (const step of history) subject.feed(step);
    subject.end();
  },
});
