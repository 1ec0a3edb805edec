import type { PathLimits } from './path-limits.js';
import type { Address } from './types.js';

interface Unreached {
  readonly address: Address;
  readonly node: string;
  heardMs: number;
}

interface Configured {
  /** Nobody told yet whether multicast reaches this address; null: it does. */
  unknown: { nextMs: number } | null;
  heardMs: number;
}

/**
 * Whom this node's multicast doesn't reach, as they say themselves: what it says to all goes to them by unicast as well.
 *
 * Silence means that multicast arrives, so a group in which it does costs nothing. Only an address that an operator gave
 * and that hasn't told yet gets now and then a copy of what is said to all, so that it learns of this node at all.
 */
export class GroupReach {
  readonly #limits: PathLimits;
  readonly #configured = new Map<Address, Configured>();
  /** By the key of the peer. */
  readonly #unreached = new Map<string, Unreached>();
  /** Those to whom what they don't hear may have to be said: masters that are not heard, from the other half. */
  #also: readonly Address[] = [];
  #copies: readonly Address[] = [];
  #isAnyUnknown = false;

  constructor(limits: PathLimits, peers: readonly Address[]) {
    this.#limits = limits;
    for (const peer of peers) this.#configured.set(peer, { unknown: { nextMs: -Infinity }, heardMs: -Infinity });
    this.#gather();
  }

  /** Where each datagram to the group goes by unicast as well; nearly always nobody. */
  get copies(): readonly Address[] {
    return this.#copies;
  }

  get unreachedNodes(): readonly string[] {
    return [...this.#unreached.values()].map(({ node }) => node).sort();
  }

  /** Configured addresses that are due a copy, because they haven't told how they hear. */
  takeUnknown(nowMs: number): readonly Address[] {
    if (!this.#isAnyUnknown) return nobody;
    const due: Address[] = [];
    for (const [address, { unknown }] of this.#configured) {
      if (unknown === null || unknown.nextMs > nowMs || this.#copies.includes(address)) continue;
      unknown.nextMs = nowMs + this.#limits.unknownCopyMs;
      due.push(address);
    }
    return due;
  }

  /** Configured addresses from which nothing has come for long. */
  unheardPeers(nowMs: number): readonly Address[] {
    if (this.#configured.size === 0) return nobody;
    const oldestMs = nowMs - this.#limits.forgetMs;
    return [...this.#configured].filter(([, { heardMs }]) => heardMs < oldestMs).map(([address]) => address);
  }

  /** Any datagram came from there. A peer that speaks from elsewhere by now says anew what it hears there. */
  heard(key: string, from: Address, nowMs: number): void {
    if (this.#unreached.size > 0) {
      const known = this.#unreached.get(key);
      if (known?.address === from) known.heardMs = nowMs;
      else if (known !== undefined) {
        this.#unreached.delete(key);
        this.#gather();
      }
    }
    if (this.#configured.size > 0) {
      const known = this.#configured.get(from);
      if (known !== undefined) known.heardMs = nowMs;
    }
  }

  /** What a peer said of itself. True when that is news. */
  reported(
    peer: { readonly key: string; readonly node: string; readonly from: Address },
    hears: boolean,
    nowMs: number,
  ): boolean {
    const { key, node, from } = peer;
    const configured = this.#configured.get(from);
    if (configured !== undefined) configured.unknown = null;
    let wasUnreached = false;
    for (const [other, { address }] of this.#unreached) {
      if (other !== key && address !== from) continue;
      wasUnreached = true;
      this.#unreached.delete(other);
    }
    // G10: whoever may speak here fills this table and no more.
    if (!hears && this.#unreached.size < this.#limits.maxUnreached)
      this.#unreached.set(key, { address: from, node, heardMs: nowMs });
    this.#gather();
    return hears === wasUnreached;
  }

  /** What is said to all goes to these, too, whatever they say. */
  also(addresses: readonly Address[]): void {
    this.#also = addresses;
    this.#gather();
  }

  /** Forgets those who are silent: they restarted elsewhere, or are gone. True while there is somebody to forget. */
  expire(nowMs: number): boolean {
    const oldestMs = nowMs - this.#limits.forgetMs;
    for (const [key, { heardMs }] of this.#unreached) if (heardMs < oldestMs) this.#unreached.delete(key);
    for (const configured of this.#configured.values())
      if (configured.heardMs < oldestMs) configured.unknown ??= { nextMs: -Infinity };
    this.#gather();
    return this.#unreached.size > 0 || [...this.#configured.values()].some(({ unknown }) => unknown === null);
  }

  #gather(): void {
    const unreached = [...this.#unreached.values()].map(({ address }) => address);
    this.#copies = [...new Set([...unreached, ...this.#also])];
    this.#isAnyUnknown = [...this.#configured.values()].some(({ unknown }) => unknown !== null);
  }
}

const nobody: readonly Address[] = [];
