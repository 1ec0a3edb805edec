import type { DataSetId, Delta, Epoch, Incarnation, NodeId, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import type { EventLevel } from '../../../shared/protocol/kernel/events.js';
import type {
  Cancellation,
  Durability,
  Rejection,
  Replication,
  ScheduledOutcome,
} from '../../../shared/protocol/kernel/outcome.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type { Message } from '../../../shared/protocol/wire/messages.js';
import type { MasterCoreEvents } from './events.js';

/** Names the answer that belongs to an effect. Unique within one core. */
export type Token = number;

/** What happened. The only way in: `core.step(input, nowMs)`. */
export type MasterInput =
  | { readonly kind: 'start'; readonly tip: Tip | null }
  | { readonly kind: 'received'; readonly from: Peer; readonly epoch: Epoch; readonly message: Message }
  | { readonly kind: 'tick' }
  | { readonly kind: 'persisted'; readonly token: Token; readonly error: string | null }
  | { readonly kind: 'answered'; readonly token: Token; readonly answer: UserAnswer }
  | { readonly kind: 'transferred'; readonly token: Token; readonly error: string | null; readonly tip: Tip | null }
  | { readonly kind: 'replicate'; readonly command: Token; readonly replication: Replication }
  /** The time of day leapt ahead of the monotonic clock: the machine may have slept for so long, and group time have stood still. */
  | { readonly kind: 'clockJumped'; readonly byMs: number }
  | { readonly kind: 'rollBack'; readonly command: Token; readonly version: number }
  | { readonly kind: 'cancel'; readonly command: Token }
  /** Takes a scheduled change back before its instant. */
  | {
      readonly kind: 'cancelActivation';
      readonly command: Token;
      readonly version: number;
      readonly timeoutMs: number;
    }
  /** What the effect of this token shows is in sight now; its write may still be under way. */
  | { readonly kind: 'exposed'; readonly token: Token; readonly atMs: number }
  | { readonly kind: 'forget'; readonly command: Token; readonly node: string }
  | { readonly kind: 'close'; readonly command: Token; readonly reason: 'closed' | 'unregistered' };

/** `late`: the call ran past its time; its real end comes as a second answer. */
export type UserAnswer =
  | { readonly kind: 'done'; readonly bytes?: Uint8Array | null }
  | { readonly kind: 'failed'; readonly reason: string; readonly late?: true };

export type MasterUserCall =
  | { readonly name: 'recover'; readonly committed: Tip | null; readonly missing: readonly Delta[] }
  | { readonly name: 'delta'; readonly from: Tip | null; readonly to: { readonly version: number } }
  | { readonly name: 'restore'; readonly to: Tip | null; readonly dropped: readonly number[] };

/** What is to be done about it. Plain data; the service does it in order. */
export type MasterEffect =
  | { readonly kind: 'send'; readonly to: Peer | 'all'; readonly epoch: Epoch; readonly message: Message }
  /**
   * One transaction. With `decided`, the user layer's `shared.write` joins it and `shared.expose` (or `committed`)
   * follows it; only then comes `persisted`.
   */
  | {
      readonly kind: 'persist';
      readonly token: Token;
      readonly operations: readonly StoreOperation[];
      readonly durable: boolean;
      readonly decided: Delta | null;
      /** Its instant has come, and it is durable already: it is exposed first and written then, with `exposed` in between. */
      readonly activates: boolean;
    }
  | { readonly kind: 'callUser'; readonly token: Token; readonly call: MasterUserCall }
  /** Serve these over TCP: offer a stream, send `bulk-offer` to the peer, answer `transferred` when it has ended. */
  | {
      readonly kind: 'offerBulk';
      readonly token: Token;
      readonly to: Peer;
      readonly epoch: Epoch;
      readonly request: number;
      readonly mode: 'deltas' | 'snapshot';
      readonly from: Tip | null;
      readonly at: Tip;
      /** Whoever asks for what has this name may be given one stream, also when it leads to a state a little before `at`, … */
      readonly sharedAs: string;
      /** … down to this version: what leads on from there is at hand. */
      readonly notBelow: number;
      readonly steps: readonly Delta[];
    }
  /** `--adopt-from`: install the offered stream into the user layer, persist, answer `transferred` with the tip. */
  | {
      readonly kind: 'adopt';
      readonly token: Token;
      readonly from: Peer;
      readonly port: number;
      readonly bulkToken: string;
      readonly to: Tip;
    }
  | {
      readonly kind: 'settle';
      readonly command: Token;
      readonly result: ScheduledOutcome | Cancellation | Rejection | { readonly kind: 'done' };
    }
  | { readonly kind: 'event'; readonly event: MasterEvent }
  /** This data set is over in this process: step down, and say why. */
  | { readonly kind: 'halt'; readonly code: HaltCode; readonly text: string };

export type HaltCode = 'refused-to-lead' | 'stepped-down' | 'store-failed' | 'user-layer-failed';

/** One of `MasterCoreEvents`: its fields were checked where it was made. */
export interface MasterEvent {
  readonly name: keyof MasterCoreEvents;
  readonly level: EventLevel;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface MasterConfig {
  readonly dataSet: DataSetId;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  /** 128 random bits of this process: the claimant of its epochs. */
  readonly claimant: string;
  readonly seed: number;
  readonly durability: Durability;
  readonly maxOpenRounds: number;
  readonly leaseMs: number;
  readonly maxLeaseMs: number;
  readonly surveyMs: number;
  /** Group time less the monotonic clock: what the time of day was ahead when this master started. Stepping it later changes nothing. */
  readonly groupOffsetMs: number;
  readonly historyBytes: number;
  readonly historyAgeMs: number;
  /** Lead although a healthy master does. */
  readonly takeOver: boolean;
  /** Take this slave's copy as the original. */
  readonly adoptFrom: NodeId | null;
  /** Lead with what is here, and let the slaves that hold something else take a snapshot. */
  readonly resetGroup: boolean;
  /** Bytes of a change that fit in one datagram: retries of larger ones go as "version only". */
  readonly datagramBytes: number;
}
