import type { Peer } from '../kernel/ids.js';
import type { PathMessage } from '../wire/transport.js';
import type { PathLimits } from './path-limits.js';
import type { Address } from './types.js';

/** How a master's multicast is heard. `asking`: it has been silent, and is asked whether it is there. */
type Hearing = 'heard' | 'asking' | 'unheard';

interface Speaker {
  readonly node: string;
  start: number;
  address: Address;
  hearing: Hearing;
  /** When anything of it came at all, by multicast, and a heartbeat by unicast. */
  anyMs: number;
  groupMs: number;
  directBeatMs: number;
  readonly metMs: number;
  /** While asking. */
  askedMs: number;
  probes: number;
  answers: number;
  /** While unheard: what came by multicast lately. */
  backSinceMs: number;
  backCount: number;
  /** Of the report: when it is said again, and how long after that; and when it was said that it is heard. */
  reportAtMs: number;
  reportEveryMs: number;
  toldHeardMs: number;
  nextMs: number;
}

export interface PathNote {
  readonly to: Address;
  readonly message: PathMessage;
}

export interface HearingChange {
  readonly node: string;
  readonly hears: boolean;
  /** How long its multicast had been silent, ms; null when it was never heard. */
  readonly silentMs: number | null;
}

export interface HearingStep {
  readonly notes: PathNote[];
  readonly changes: HearingChange[];
}

/**
 * Whether this node hears the multicast of those that speak to the group: masters. Of one that falls silent it asks, by
 * unicast, and only who answers while the group stays silent counts as unheard: a dead master is no broken network.
 */
export class GroupHearing {
  readonly #limits: PathLimits;
  readonly #suspectMs: number;
  readonly #isDeaf: boolean;
  readonly #speakers = new Map<string, Speaker>();
  #number = 0;
  #nextMs = Infinity;

  /**
   * `spread` in [0, 1): this node's place in a crowd that suspects the same. `isDeaf`: this node listens to no multicast,
   * and needs no evidence to say so.
   */
  constructor(limits: PathLimits, options: { readonly spread: number; readonly isDeaf: boolean }) {
    const { spread, isDeaf } = options;
    this.#limits = limits;
    this.#isDeaf = isDeaf;
    this.#suspectMs = limits.suspectMs + spread * limits.suspectSpreadMs;
  }

  get nextMs(): number {
    return this.#nextMs;
  }

  get unheard(): readonly { readonly node: string; readonly address: Address }[] {
    return [...this.#speakers.values()].filter(({ hearing }) => hearing === 'unheard');
  }

  /** A datagram came. Called for each: costs a look-up where there is a master, else nothing. */
  heard(key: string, peer: Peer, from: Address, byGroup: boolean, nowMs: number): void {
    if (this.#speakers.size === 0) return;
    const speaker = this.#speakers.get(key);
    if (speaker === undefined) return;
    speaker.anyMs = nowMs;
    if (peer.incarnation.start !== speaker.start) this.#restarted(speaker, peer.incarnation.start, nowMs);
    speaker.address = from;
    if (byGroup) this.#byGroup(speaker, nowMs);
  }

  #byGroup(speaker: Speaker, nowMs: number): void {
    if (speaker.hearing === 'unheard') {
      if (nowMs - speaker.groupMs > this.#limits.backMs + this.#suspectMs) speaker.backCount = 0;
      if (speaker.backCount === 0) speaker.backSinceMs = nowMs;
      speaker.backCount += 1;
      const isBack =
        speaker.backCount >= this.#limits.backDatagrams && nowMs - speaker.backSinceMs >= this.#limits.backMs;
      if (isBack) this.#wakeAt(speaker, nowMs);
    }
    speaker.groupMs = nowMs;
  }

  /** It said what masters say. */
  spoke(
    key: string,
    peer: Peer,
    from: Address,
    came: { readonly byGroup: boolean; readonly isBeat: boolean },
    nowMs: number,
  ): void {
    const speaker = this.#speakers.get(key) ?? this.#meet(key, peer, from, nowMs);
    if (came.byGroup) speaker.groupMs = nowMs;
    if (!came.isBeat || came.byGroup) return;
    speaker.directBeatMs = nowMs;
    this.#tellTwice(speaker, nowMs);
  }

  /** Once more came what is here already: of the two copies of a datagram the later one, whichever way that took. */
  doubled(from: Address, byGroup: boolean, nowMs: number): void {
    for (const speaker of this.#speakers.values()) {
      if (speaker.address !== from) continue;
      if (byGroup) this.#byGroup(speaker, nowMs);
      this.#tellTwice(speaker, nowMs);
    }
  }

  /**
   * It sends by unicast what is heard by multicast as well: it may stop. Said again while it goes on, since the word may be
   * lost, and a process that started later doesn't know what was said before.
   */
  #tellTwice(speaker: Speaker, nowMs: number): void {
    const isTwice = speaker.hearing === 'heard' && nowMs - speaker.groupMs < this.#limits.suspectMs;
    if (!isTwice || nowMs - speaker.toldHeardMs < this.#limits.suspectMs) return;
    speaker.reportAtMs = nowMs;
    this.#wakeAt(speaker, nowMs);
  }

  answered(key: string, number: number): void {
    const speaker = this.#speakers.get(key);
    if (speaker?.hearing !== 'asking') return;
    if (number > this.#number - speaker.probes) speaker.answers += 1;
  }

  /** It said goodbye. */
  left(key: string): void {
    this.#speakers.delete(key);
  }

  step(nowMs: number): HearingStep {
    const step: HearingStep = { notes: [], changes: [] };
    if (nowMs < this.#nextMs) return step;
    for (const [key, speaker] of this.#speakers) {
      if (speaker.nextMs > nowMs) continue;
      if (nowMs - speaker.anyMs > this.#limits.forgetMs) {
        this.#speakers.delete(key);
        continue;
      }
      this.#stepOne(speaker, step, nowMs);
    }
    this.#nextMs = Infinity;
    for (const { nextMs } of this.#speakers.values()) this.#nextMs = Math.min(this.#nextMs, nextMs);
    return step;
  }

  #stepOne(speaker: Speaker, step: HearingStep, nowMs: number): void {
    switch (speaker.hearing) {
      case 'heard':
        this.#whileHeard(speaker, step, nowMs);
        return;
      case 'asking':
        this.#whileAsking(speaker, step, nowMs);
        return;
      case 'unheard':
        this.#whileUnheard(speaker, step, nowMs);
        return;
    }
  }

  #whileHeard(speaker: Speaker, step: HearingStep, nowMs: number): void {
    if (speaker.reportAtMs <= nowMs) {
      step.notes.push(report(speaker, true));
      speaker.reportAtMs = Infinity;
      speaker.toldHeardMs = nowMs;
    }
    // A master that sends by unicast anyway needs no multicast.
    const suspectAtMs = Math.max(speaker.groupMs, speaker.directBeatMs, speaker.metMs) + this.#suspectMs;
    if (nowMs < suspectAtMs) {
      speaker.nextMs = Math.min(suspectAtMs, speaker.reportAtMs);
      return;
    }
    if (this.#isDeaf) {
      this.#becomeUnheard(speaker, step, nowMs);
      return;
    }
    speaker.hearing = 'asking';
    speaker.askedMs = nowMs;
    speaker.probes = 0;
    speaker.answers = 0;
    this.#whileAsking(speaker, step, nowMs);
  }

  #whileAsking(speaker: Speaker, step: HearingStep, nowMs: number): void {
    const { probeAnswers, probeMs, probeMaxMs } = this.#limits;
    if (Math.max(speaker.groupMs, speaker.directBeatMs) >= speaker.askedMs) {
      speaker.hearing = 'heard';
      this.#whileHeard(speaker, step, nowMs);
      return;
    }
    if (speaker.answers >= probeAnswers) {
      this.#becomeUnheard(speaker, step, nowMs);
      return;
    }
    this.#number = (this.#number + 1) % maxNumber;
    step.notes.push({ to: speaker.address, message: { kind: 'path-probe', number: this.#number } });
    speaker.probes += 1;
    const unanswered = Math.max(0, speaker.probes - speaker.answers - 2 * probeAnswers);
    speaker.nextMs = nowMs + Math.min(probeMaxMs, probeMs * 2 ** Math.min(unanswered, 16));
  }

  #becomeUnheard(speaker: Speaker, step: HearingStep, nowMs: number): void {
    speaker.hearing = 'unheard';
    speaker.backCount = 0;
    speaker.reportAtMs = nowMs;
    speaker.reportEveryMs = this.#limits.reportMs;
    if (!this.#isDeaf)
      step.changes.push({
        node: speaker.node,
        hears: false,
        silentMs: speaker.groupMs === -Infinity ? null : nowMs - speaker.groupMs,
      });
    this.#whileUnheard(speaker, step, nowMs);
  }

  #whileUnheard(speaker: Speaker, step: HearingStep, nowMs: number): void {
    const { backDatagrams, backMs, reportMaxMs, reportMs } = this.#limits;
    if (speaker.backCount >= backDatagrams && nowMs - speaker.backSinceMs >= backMs) {
      speaker.hearing = 'heard';
      speaker.reportAtMs = Infinity;
      step.notes.push(report(speaker, true));
      step.changes.push({ node: speaker.node, hears: true, silentMs: null });
      speaker.toldHeardMs = nowMs;
      speaker.nextMs = speaker.groupMs + this.#suspectMs;
      return;
    }
    // Its heartbeats by unicast show that it knows.
    const isServed = nowMs - speaker.directBeatMs < this.#suspectMs;
    if (isServed) {
      speaker.reportEveryMs = reportMs;
      speaker.reportAtMs = speaker.directBeatMs + this.#suspectMs;
    } else if (speaker.reportAtMs <= nowMs) {
      step.notes.push(report(speaker, false));
      speaker.reportAtMs = nowMs + speaker.reportEveryMs;
      speaker.reportEveryMs = Math.min(2 * speaker.reportEveryMs, reportMaxMs);
    }
    speaker.nextMs = speaker.reportAtMs;
  }

  /** A new process of it knows nothing of what it was told before. */
  #restarted(speaker: Speaker, start: number, nowMs: number): void {
    speaker.start = start;
    if (speaker.hearing !== 'unheard') return;
    speaker.directBeatMs = -Infinity;
    speaker.reportAtMs = nowMs;
    speaker.reportEveryMs = this.#limits.reportMs;
    this.#wakeAt(speaker, nowMs);
  }

  #meet(key: string, peer: Peer, address: Address, nowMs: number): Speaker {
    if (this.#speakers.size >= this.#limits.maxSpeakers) this.#forgetStalest();
    const speaker: Speaker = {
      node: peer.node,
      start: peer.incarnation.start,
      address,
      hearing: 'heard',
      anyMs: nowMs,
      groupMs: -Infinity,
      directBeatMs: -Infinity,
      metMs: nowMs,
      askedMs: nowMs,
      probes: 0,
      answers: 0,
      backSinceMs: 0,
      backCount: 0,
      reportAtMs: Infinity,
      reportEveryMs: this.#limits.reportMs,
      toldHeardMs: -Infinity,
      nextMs: Infinity,
    };
    this.#speakers.set(key, speaker);
    this.#wakeAt(speaker, nowMs + this.#suspectMs);
    return speaker;
  }

  #wakeAt(speaker: Speaker, atMs: number): void {
    speaker.nextMs = Math.min(speaker.nextMs, atMs);
    this.#nextMs = Math.min(this.#nextMs, speaker.nextMs);
  }

  #forgetStalest(): void {
    let stalest: { readonly key: string; readonly anyMs: number } | null = null;
    for (const [key, { anyMs }] of this.#speakers)
      if (stalest === null || anyMs < stalest.anyMs) stalest = { key, anyMs };
    if (stalest !== null) this.#speakers.delete(stalest.key);
  }
}

const maxNumber = 0x1_0000_0000;

function report(speaker: Speaker, hears: boolean): PathNote {
  return { to: speaker.address, message: { kind: 'path-report', hears } };
}
