import type { Peer } from '../kernel/ids.js';
import { unreachable } from '../kernel/invariant.js';
import type { Message, MessageKind } from '../wire/messages.js';
import type { PathMessage } from '../wire/transport.js';
import { GroupHearing } from './group-hearing.js';
import { GroupReach } from './group-reach.js';
import { pathLimits, type PathLimits } from './path-limits.js';
import type { Address } from './types.js';

/**
 * How a node says something to all: by multicast; to each peer by unicast; or by multicast and to those whom that
 * doesn't reach also by unicast.
 */
export const transportModes = ['auto', 'multicast', 'unicast'] as const;
export type TransportMode = (typeof transportModes)[number];

export interface PathOptions {
  readonly mode: TransportMode;
  /** Addresses that an operator gave; with `unicast` the transport itself sends there what is for all. */
  readonly peers?: readonly Address[];
  readonly limits?: Partial<PathLimits>;
}

/** What people are to know: told once each time, by the node's event log. */
export type PathEvent =
  | { readonly name: 'multicast-unheard'; readonly node: string; readonly silentMs: number | null }
  | { readonly name: 'multicast-heard'; readonly node: string }
  | { readonly name: 'multicast-unreached'; readonly node: string; readonly address: Address }
  | { readonly name: 'multicast-reached'; readonly node: string; readonly address: Address };

/** For status. */
export interface PathView {
  readonly mode: TransportMode;
  /** Nodes that said that this one's multicast doesn't reach them: they are sent to by unicast. */
  readonly unreached: readonly string[];
  /** Nodes whose multicast doesn't reach this one. */
  readonly unheard: readonly string[];
}

export interface OutgoingPath {
  readonly to: 'group' | Address;
  readonly message: PathMessage;
}

/** Only a master says these, and to all sooner or later. */
const saidByMasters: ReadonlySet<MessageKind> = new Set<MessageKind>(['heartbeat', 'welcome', 'survey', 'claim']);

const maxEvents = 64;

/**
 * The ways between this node and the others: decides to whom multicast has to be doubled by unicast. Pure; the endpoint
 * tells what came and by which way, and sends what is to be sent.
 */
export class GroupPaths {
  readonly #mode: TransportMode;
  readonly #limits: PathLimits;
  readonly #reach: GroupReach;
  readonly #hearing: GroupHearing;
  readonly #doubles: boolean;
  readonly #listens: boolean;
  #events: PathEvent[] = [];
  #markedMs = -Infinity;
  #toldPeersMs = -Infinity;
  #expireMs = Infinity;

  constructor(options: PathOptions, storeId: string) {
    this.#mode = options.mode;
    this.#limits = { ...pathLimits, ...options.limits };
    this.#reach = new GroupReach(this.#limits, options.peers ?? []);
    const spread = Number.parseInt(storeId.slice(0, 4), 16) / 0x1_0000;
    this.#hearing = new GroupHearing(this.#limits, { spread, isDeaf: options.mode === 'unicast' });
    this.#doubles = options.mode === 'auto';
    this.#listens = options.mode !== 'multicast';
  }

  get view(): PathView {
    // Who listens to no multicast misses none.
    const unheard = this.#doubles ? this.#hearing.unheard.map(({ node }) => node).sort() : [];
    return { mode: this.#mode, unreached: this.#reach.unreachedNodes, unheard };
  }

  /** Where each datagram to the group goes as well. */
  get copies(): readonly Address[] {
    return this.#doubles ? this.#reach.copies : nobody;
  }

  /** Where this datagram to the group goes as well, so that somebody there learns of this node. */
  takeUnknown(nowMs: number): readonly Address[] {
    return this.#doubles ? this.#reach.takeUnknown(nowMs) : nobody;
  }

  /** Something is said to all: who can't have heard it, and doesn't know it, is told by unicast how this node hears. */
  saying(nowMs: number): readonly OutgoingPath[] {
    if (!this.#listens || nowMs - this.#toldPeersMs < this.#limits.tellPeersMs) return nothing;
    const unheard = this.#reach.unheardPeers(nowMs);
    if (unheard.length === 0) return nothing;
    this.#toldPeersMs = nowMs;
    return unheard.map((to) => ({ to, message: { kind: 'path-report', hears: false } }));
  }

  /** A valid datagram came. */
  heard(key: string, peer: Peer, came: { readonly from: Address; readonly byGroup: boolean }, nowMs: number): void {
    if (!this.#listens) return;
    this.#reach.heard(key, came.from, nowMs);
    this.#hearing.heard(key, peer, came.from, came.byGroup, nowMs);
  }

  /**
   * A datagram that was there already. With keys nothing more is known of it than the address that it says it came from: whoever
   * forges that can make a slave believe that multicast passes, which costs no more than the multicast itself that they may block.
   */
  doubled(from: Address, byGroup: boolean, nowMs: number): void {
    if (this.#listens) this.#hearing.doubled(from, byGroup, nowMs);
  }

  message(
    key: string,
    peer: Peer,
    came: { readonly from: Address; readonly byGroup: boolean; readonly message: Message },
    nowMs: number,
  ): void {
    const { kind } = came.message;
    if (!this.#listens) return;
    if (kind === 'leave') {
      this.#hearing.left(key);
      this.#alsoUnheard();
    }
    if (!saidByMasters.has(kind)) return;
    const { from, byGroup } = came;
    this.#hearing.spoke(key, peer, from, { byGroup, isBeat: kind === 'heartbeat' }, nowMs);
  }

  /** Another endpoint asks or tells about the way. Gives what is to be sent for it. */
  path(
    key: string,
    peer: Peer,
    came: { readonly from: Address; readonly byGroup: boolean; readonly message: PathMessage },
    nowMs: number,
  ): readonly OutgoingPath[] {
    const { from, byGroup, message } = came;
    switch (message.kind) {
      case 'path-probe':
        return this.#answer(from, byGroup, message.number, nowMs);
      case 'path-answer':
        this.#hearing.answered(key, message.number);
        return [];
      case 'path-report':
        if (this.#doubles) this.#reported(key, peer, from, message.hears, nowMs);
        return [];
      case 'path-mark':
        return [];
      default:
        return unreachable(message);
    }
  }

  get nextMs(): number {
    return Math.min(this.#hearing.nextMs, this.#expireMs);
  }

  tick(nowMs: number): readonly OutgoingPath[] {
    if (nowMs >= this.#expireMs) {
      const isAnyLeft = this.#reach.expire(nowMs);
      this.#expireMs = isAnyLeft ? nowMs + this.#limits.forgetMs / 4 : Infinity;
    }
    const { notes, changes } = this.#hearing.step(nowMs);
    this.#alsoUnheard();
    for (const { node, hears, silentMs } of changes)
      this.#record(hears ? { name: 'multicast-heard', node } : { name: 'multicast-unheard', node, silentMs });
    return notes;
  }

  takeEvents(): readonly PathEvent[] {
    if (this.#events.length === 0) return noEvents;
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /**
   * A question that came by multicast reached many: each answers, and none speaks to the group. One that came by unicast
   * is answered to its sender, and by a mark to the group, in which the answers to all who ask at this moment share.
   */
  #answer(from: Address, byGroup: boolean, number: number, nowMs: number): readonly OutgoingPath[] {
    const answer: OutgoingPath = { to: from, message: { kind: 'path-answer', number, byGroup } };
    if (byGroup || this.#mode === 'unicast' || nowMs - this.#markedMs < this.#limits.markMs) return [answer];
    this.#markedMs = nowMs;
    return [answer, { to: 'group', message: { kind: 'path-mark' } }];
  }

  #reported(key: string, peer: Peer, from: Address, hears: boolean, nowMs: number): void {
    const { node } = peer;
    if (this.#expireMs === Infinity) this.#expireMs = nowMs + this.#limits.forgetMs / 4;
    if (!this.#reach.reported({ key, node, from }, hears, nowMs)) return;
    this.#record({ name: hears ? 'multicast-reached' : 'multicast-unreached', node, address: from });
  }

  /** Multicast that doesn't come probably doesn't go either: what is for all goes to those masters by unicast, too. */
  #alsoUnheard(): void {
    if (this.#doubles) this.#reach.also(this.#hearing.unheard.map(({ address }) => address));
  }

  #record(event: PathEvent): void {
    if (this.#events.length < maxEvents) this.#events.push(event);
  }
}

const nobody: readonly Address[] = [];
const nothing: readonly OutgoingPath[] = [];
const noEvents: readonly PathEvent[] = [];
