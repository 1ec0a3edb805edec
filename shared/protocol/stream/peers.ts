import { sameIncarnation, type Peer } from '../kernel/ids.js';
import type { StreamLimits } from './stream-limits.js';
import type { Address } from './types.js';

interface Place {
  readonly start: number;
  readonly address: Address;
}

interface Entry {
  newest: Place;
  /** Another start of the same store, heard meanwhile: a late packet, or a cloned store that must be told. */
  other: Place | null;
  heardMs: number;
  /** 0 until a status told it. */
  windowBytes: number;
  windowMs: number;
}

/** Moving an entry to the end of the order on each datagram would cost more than it tells. */
const touchMs = 500;

export function peerKey(peer: Peer): string {
  return peer.incarnation.storeId + peer.node;
}

export function samePeer(a: Peer, b: Peer): boolean {
  return a.node === b.node && sameIncarnation(a.incarnation, b.incarnation);
}

/** Where peers were heard from, and how much they can take at once. Bounded: the one not heard for longest leaves. */
export class PeerTable {
  readonly #limits: StreamLimits;
  readonly #ownWindowBytes: number;
  readonly #entries = new Map<string, Entry>();
  #smallest: number;
  #smallestMs = -Infinity;

  constructor(limits: StreamLimits, ownWindowBytes: number) {
    this.#limits = limits;
    this.#ownWindowBytes = ownWindowBytes;
    this.#smallest = Math.max(ownWindowBytes, limits.minWindowBytes);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Notes where a valid datagram came from. False when the peer was heard in a later start already. */
  learn(peer: Peer, key: string, address: Address, nowMs: number): boolean {
    const entry = this.#entries.get(key);
    const { start } = peer.incarnation;
    if (entry === undefined) {
      this.#makeRoom();
      this.#entries.set(key, {
        newest: { start, address },
        other: null,
        heardMs: nowMs,
        windowBytes: 0,
        windowMs: -Infinity,
      });
      return true;
    }
    if (nowMs - entry.heardMs > touchMs) {
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      entry.heardMs = nowMs;
    }
    if (start < entry.newest.start) {
      entry.other = { start, address };
      return false;
    }
    if (start > entry.newest.start) entry.other = entry.newest;
    if (start !== entry.newest.start || address !== entry.newest.address) entry.newest = { start, address };
    return true;
  }

  /** Where this very incarnation was heard, or else the newest of the same name and store; null when neither was. */
  addressOf(peer: Peer): Address | null {
    const entry = this.#entries.get(peerKey(peer));
    if (entry === undefined) return null;
    return entry.other?.start === peer.incarnation.start ? entry.other.address : entry.newest.address;
  }

  noteWindow(key: string, windowBytes: number, nowMs: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || windowBytes === 0) return;
    entry.windowBytes = windowBytes;
    entry.windowMs = nowMs;
    if (windowBytes < this.#smallest) this.#smallestMs = -Infinity;
  }

  /** The smallest window of those heard lately (of this node while none was), looked up anew once a second. */
  smallestWindow(nowMs: number): number {
    if (nowMs - this.#smallestMs < 1000) return this.#smallest;
    let smallest = Infinity;
    for (const entry of this.#entries.values()) {
      const counts = entry.windowBytes > 0 && nowMs - entry.windowMs <= this.#limits.windowAgeMs;
      if (counts && entry.windowBytes < smallest) smallest = entry.windowBytes;
    }
    this.#smallest = Math.max(smallest === Infinity ? this.#ownWindowBytes : smallest, this.#limits.minWindowBytes);
    this.#smallestMs = nowMs;
    return this.#smallest;
  }

  #makeRoom(): void {
    if (this.#entries.size < this.#limits.maxPeers) return;
    for (const key of this.#entries.keys()) {
      this.#entries.delete(key);
      return;
    }
  }
}
