import type { FragmentRange } from '../wire/transport.js';
import type { EncodedMessage } from './packer.js';
import type { StreamLimits } from './stream-limits.js';
import type { Address } from './types.js';

/** A fragmented message that is being sent, or was lately. */
export interface SentMessage {
  readonly message: EncodedMessage;
  /** Where it went. What went to one goes again to that one only: others would miss the rest of it, and ask for it. */
  readonly destination: 'group' | Address;
  /** Fragments below this index have left once; those above are on their way and can't be lost yet. */
  sentUpTo: number;
  lastSentMs: number;
  /** Fragments that wait in the paced queue to go again. */
  readonly underWay: Set<number>;
  /** What was asked for and isn't answered yet. */
  readonly wanted: Set<number>;
  readonly askers: Map<string, Address>;
  dueMs: number;
  /** The last answer: a request that crosses with it isn't answered again. */
  lastRepair: { readonly atMs: number; readonly to: 'group' | Address; readonly indexes: ReadonlySet<number> } | null;
  /** The answer goes where the message went: what it is to tell, only the order among the datagrams there tells. */
  toDestination: boolean;
  /** By peer: where the end began that it asked for, and when. */
  readonly askedEnds: Map<string, { readonly first: number; readonly atMs: number }>;
  /** By peer: fragments below this index were asked for already, so they are no new loss. */
  readonly askedUpTo: Map<string, number>;
}

export interface Repair {
  readonly to: 'group' | Address;
  readonly sent: SentMessage;
  readonly indexes: readonly number[];
}

/** What one request told: whether it names something held here, and how many fragments are newly known as lost. */
export interface AskResult {
  readonly held: boolean;
  readonly newlyLost: number;
}

const maxAskers = 64;

/**
 * Keeps fragmented messages for a while after they were sent, within bounds of bytes and age, and gathers requests for
 * their fragments: one asker is answered alone, several at once are answered together.
 */
export class ResendBuffer {
  readonly #limits: StreamLimits;
  readonly #sent = new Map<number, SentMessage>();
  readonly #asked = new Set<SentMessage>();
  #bytes = 0;

  constructor(limits: StreamLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  keep(message: EncodedMessage, destination: 'group' | Address, nowMs: number): SentMessage {
    const sent: SentMessage = {
      message,
      destination,
      sentUpTo: 0,
      lastSentMs: nowMs,
      underWay: new Set(),
      wanted: new Set(),
      askers: new Map(),
      dueMs: Infinity,
      lastRepair: null,
      askedUpTo: new Map(),
      toDestination: false,
      askedEnds: new Map(),
    };
    this.#drop(message.id);
    this.#sent.set(message.id, sent);
    this.#bytes += message.body.length;
    for (const [id] of this.#sent) {
      if (this.#bytes <= this.#limits.resendBytes || id === message.id) break;
      this.#drop(id);
    }
    return sent;
  }

  ask(
    request: { peer: string; from: Address; messageId: number; ranges: readonly FragmentRange[] },
    nowMs: number,
  ): AskResult {
    const sent = this.#sent.get(request.messageId);
    if (sent === undefined) return { held: false, newlyLost: 0 };
    const { lastRepair, underWay, wanted } = sent;
    const crossed =
      lastRepair !== null &&
      nowMs - lastRepair.atMs < this.#limits.repairHoldMs &&
      (lastRepair.to === 'group' || lastRepair.to === request.from)
        ? lastRepair.indexes
        : null;
    const asked = sent.askedUpTo.get(request.peer) ?? 0;
    let newlyLost = 0;
    let highest = asked;
    let adds = false;
    for (const range of request.ranges) {
      const isEnd = range.first + range.count >= sent.message.fragmentCount;
      if (isEnd) {
        const verdict = this.#judgeEnd(sent, request.peer, range.first, nowMs);
        if (verdict === 'under way') continue;
        if (verdict === 'probe') {
          const last = sent.message.fragmentCount - 1;
          if (underWay.has(last) || crossed?.has(last) === true) continue;
          wanted.add(last);
          sent.toDestination = true;
          adds = true;
          continue;
        }
      }
      const end = Math.min(range.first + range.count, sent.sentUpTo);
      for (let index = range.first; index < end; index += 1) {
        if (index >= asked) newlyLost += 1;
        if (index >= highest) highest = index + 1;
        if (underWay.has(index) || crossed?.has(index) === true) continue;
        wanted.add(index);
        adds = true;
      }
    }
    if (highest > asked && (asked > 0 || sent.askedUpTo.size < this.#limits.maxPeers))
      sent.askedUpTo.set(request.peer, highest);
    if (adds) {
      if (!this.#asked.has(sent)) sent.dueMs = nowMs + this.#limits.gatherMs;
      this.#asked.add(sent);
      if (sent.askers.size < maxAskers) sent.askers.set(request.peer, request.from);
    }
    return { held: true, newlyLost };
  }

  /**
   * A hole was seen by what came behind it; an end that is missing may just not have been read yet, by a receiver that is
   * kept from running or by this node that reads the request late. While the message is leaving, what leaves next will
   * tell. Afterwards its last fragment goes where the message went once more: whoever lost the others sees a hole then, and whoever
   * was slow has lost nothing. Only an end that is asked for again without any progress is sent whole.
   */
  #judgeEnd(sent: SentMessage, peer: string, first: number, nowMs: number): 'under way' | 'probe' | 'lost' {
    const { inFlightMs, maxPeers } = this.#limits;
    if (sent.sentUpTo < sent.message.fragmentCount || nowMs - sent.lastSentMs < inFlightMs) return 'under way';
    const before = sent.askedEnds.get(peer);
    if (before?.first === first) return nowMs - before.atMs < inFlightMs ? 'under way' : 'lost';
    if (before !== undefined || sent.askedEnds.size < maxPeers) sent.askedEnds.set(peer, { first, atMs: nowMs });
    return 'probe';
  }

  /** The answers whose time has come. */
  takeDue(nowMs: number): Repair[] {
    const repairs: Repair[] = [];
    for (const sent of this.#asked) {
      if (sent.dueMs > nowMs) continue;
      this.#asked.delete(sent);
      const [first, ...others] = sent.askers.values();
      const indexes = [...sent.wanted].sort((a, b) => a - b);
      sent.askers.clear();
      sent.wanted.clear();
      sent.dueMs = Infinity;
      if (first === undefined || indexes.length === 0) continue;
      const concernsAll = others.length > 0 || sent.toDestination;
      const to = concernsAll || sent.destination !== 'group' ? sent.destination : first;
      sent.toDestination = false;
      sent.lastRepair = { atMs: nowMs, to, indexes: new Set(indexes) };
      for (const index of indexes) sent.underWay.add(index);
      repairs.push({ to, sent, indexes });
    }
    return repairs;
  }

  /** Drops what nobody will ask for any more. */
  expire(nowMs: number): void {
    for (const [id, sent] of this.#sent) {
      if (nowMs < sent.lastSentMs + this.#limits.resendAgeMs) return;
      this.#drop(id);
    }
  }

  nextMs(): number {
    let next = Infinity;
    for (const sent of this.#asked) if (sent.dueMs < next) next = sent.dueMs;
    for (const sent of this.#sent.values()) {
      const expiresMs = sent.lastSentMs + this.#limits.resendAgeMs;
      return expiresMs < next ? expiresMs : next;
    }
    return next;
  }

  #drop(id: number): void {
    const sent = this.#sent.get(id);
    if (sent === undefined) return;
    this.#sent.delete(id);
    this.#asked.delete(sent);
    this.#bytes -= sent.message.body.length;
  }
}
