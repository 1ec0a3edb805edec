import type { DataSetId, Delta, Epoch, Incarnation, NodeId, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import type { EventLevel } from '../../../shared/protocol/kernel/events.js';
import type { Durability } from '../../../shared/protocol/kernel/outcome.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type { Decision, Message } from '../../../shared/protocol/wire/messages.js';
import type { SlaveCoreEvents } from './events.js';

export type DecisionOutcome = Decision['outcome'];

/** Names the answer that belongs to an effect. Unique within one core. */
export type Token = number;

/** What happened. The only way in: `core.step(input, nowMs)`. */
export type SlaveInput =
  | { readonly kind: 'start'; readonly tip: Tip | null }
  | { readonly kind: 'received'; readonly from: Peer; readonly epoch: Epoch; readonly message: Message }
  | { readonly kind: 'tick' }
  | { readonly kind: 'persisted'; readonly token: Token; readonly error: string | null }
  | { readonly kind: 'answered'; readonly token: Token; readonly answer: UserAnswer }
  /** The service showed what `SlaveCore.showing` allowed it to show, and hasn't written it yet; `exposed` says since when. */
  | { readonly kind: 'shown'; readonly to: Tip }
  /** Readers see what the effect of this token brings; its write may still be under way. */
  | { readonly kind: 'exposed'; readonly token: Token; readonly atMs: number }
  /** A transfer over TCP ended; for a snapshot, with the tip that the user layer installed. */
  | { readonly kind: 'transferred'; readonly token: Token; readonly error: string | null }
  /** One step out of a transfer of deltas. The service feeds the next when `backlogBytes` allows it. */
  | { readonly kind: 'streamed'; readonly token: Token; readonly delta: Delta }
  /** The wall clock outran the monotonic one: the machine slept, and the lease can't be trusted. */
  | { readonly kind: 'suspended' }
  /** The time of day leapt ahead of the monotonic clock: the machine may have slept for so long, or not at all. */
  | { readonly kind: 'clockJumped'; readonly byMs: number }
  /** The operator's word on a diverged copy: discard it and take a snapshot. */
  | { readonly kind: 'discard'; readonly command: Token }
  /** The operator decides a round in doubt that no master can tell about. `round` as `roundKey` names it. */
  | {
      readonly kind: 'resolve';
      readonly command: Token;
      readonly round: string;
      readonly outcome: DecisionOutcome;
      readonly by: string;
      /** The time of day, for the record. */
      readonly wallMs: number;
    }
  | { readonly kind: 'close'; readonly command: Token };

/** `late`: the call ran past its time; its real end comes as a second answer with the same token. */
export type UserAnswer =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly reason: string; readonly refused: readonly number[] }
  /** `store`: not the layer's logic failed, but the disk; this process decides nothing any more. */
  | { readonly kind: 'failed'; readonly reason: string; readonly late?: true; readonly store?: true };

export type SlaveUserCall =
  | { readonly name: 'prepare'; readonly change: Delta }
  | { readonly name: 'abort'; readonly to: Tip; readonly why: 'aborted' | 'superseded' };

/** What is to be done about it. Plain data; the service does it in order. */
export type SlaveEffect =
  | {
      readonly kind: 'send';
      readonly to: Peer | 'all';
      readonly epoch: Epoch;
      readonly message: Message;
      /** It may wait until all that has arrived by now is used, for more to the same peer. */
      readonly gathers?: true;
    }
  | {
      readonly kind: 'persist';
      readonly token: Token;
      readonly operations: readonly StoreOperation[];
      readonly durable: boolean;
    }
  | { readonly kind: 'callUser'; readonly token: Token; readonly call: SlaveUserCall }
  /**
   * The user layer commits the change, then the operations are written; with a layer that shares the store, both in one
   * transaction. Answered with `answered`, once the change is durable and exposed.
   */
  | {
      readonly kind: 'commitUser';
      readonly token: Token;
      readonly change: Delta;
      readonly operations: readonly StoreOperation[];
      readonly durable: boolean;
      /** Its instant has come, and it is durable already: it is exposed first, then `exposed` is told, then it is written. */
      readonly activates: boolean;
    }
  /** Fetch from the peer's host at this port, `install` into the user layer (or feed `streamed`), answer `transferred`. */
  | {
      readonly kind: 'fetchBulk';
      readonly token: Token;
      readonly from: Peer;
      readonly port: number;
      readonly bulkToken: string;
      readonly mode: 'deltas' | 'snapshot';
      readonly to: Tip;
      /** Written after the install. */
      readonly operations: readonly StoreOperation[];
      /** The old copy is kept aside first: it isn't on the master's chain. */
      readonly keepOld: boolean;
    }
  /** A master adopts this copy: offer a stream of `snapshot(at)`, send the `bulk-offer`. */
  | {
      readonly kind: 'offerBulk';
      readonly token: Token;
      readonly to: Peer;
      readonly epoch: Epoch;
      readonly request: number;
      readonly at: Tip;
    }
  | {
      readonly kind: 'settle';
      readonly command: Token;
      readonly result: { readonly kind: 'done' } | { readonly kind: 'rejected'; readonly text: string };
    }
  | { readonly kind: 'event'; readonly event: SlaveEvent }
  | {
      readonly kind: 'halt';
      readonly code: HaltCode;
      readonly text: string;
    };

/** A scheduled change that may be shown without another word from the core. */
export interface Showing {
  readonly change: Delta;
  readonly atMs: number;
}

export type HaltCode = 'name-taken' | 'cloned-store' | 'store-failed' | 'forgotten' | 'group-full';

/** One of `SlaveCoreEvents`: its fields were checked where it was made. */
export interface SlaveEvent {
  readonly name: keyof SlaveCoreEvents;
  readonly level: EventLevel;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface SlaveConfig {
  readonly dataSet: DataSetId;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly seed: number;
  readonly durability: Durability;
  readonly maxLeaseMs: number;
  /** The receive buffer that the system granted. */
  readonly windowBytes: number;
}
