import type { TransportMode } from '../shared/protocol/stream/paths.js';
import type { Tip } from '../shared/protocol/kernel/ids.js';
import type {
  Cancellation,
  ContentChoice,
  DeliveryMode,
  Durability,
  Outcome,
  Phases,
  ScheduledOutcome,
  VoterPolicy,
} from '../shared/protocol/kernel/outcome.js';
import type { Cancellable } from '../shared/runtime/aborting.js';
import type { CrashPoint } from '../shared/runtime/crash-points.js';
import type { KeySource } from '../shared/runtime/key-files.js';
import type { DeltaSource } from '../shared/runtime/delta-source.js';
import type { EventLog } from '../shared/runtime/ports.js';
import type { ArmedView, MemberView, MasterView, RoundAccount } from './service/core/view.js';
import type { MasterUserLayer } from './user/contract.js';

/** How a node reaches its group; the same on both sides. */
export interface GroupOptions {
  /** Multicast group and port; default `239.255.42.1:7401`. */
  readonly group?: string;
  /** The address of the interface to send and to join by; default `127.0.0.1`. Never left to the kernel. */
  readonly interface?: string;
  /**
   * How it reaches all. `multicast`: by multicast alone. `unicast`: to each of `peers`, and to whoever has been heard, by
   * unicast. `auto`: by multicast, and by unicast as well to those whom multicast doesn't reach, for as long as it
   * doesn't; that needs an address of theirs, from `peers` or from having heard them. Default: `unicast` when `peers` are
   * given, else `auto`.
   */
  readonly transport?: TransportMode;
  /** Addresses of other nodes, `host:port`. At a slave: its master, and other slaves. */
  readonly peers?: readonly string[];
  /** The port of the node's own socket; default 0, any free one. With `peers` on the other side, give it. */
  readonly port?: number;
  /**
   * The group's keys, made by `lockstep keygen`: the path of a key file, or its text. Datagrams and streams are then
   * encrypted, and what only a master may say is signed. Default: none, which only loopback allows.
   */
  readonly keys?: KeySource;
  /** Leave this machine without keys: everybody on that network can read and change what is said. Default false. */
  readonly insecure?: boolean;
}

export interface MasterOptions extends GroupOptions {
  /** The folder of the store; made when it isn't there. */
  readonly store: string;
  /** Default `master`. */
  readonly name?: string;
  /** Default `disk`. `memory` waives durability of data and decisions, never of epochs and identity. */
  readonly durability?: Durability;
  /** Lead although a healthy master does: it steps down. Default false. */
  readonly takeOver?: boolean;
  /** Take this slave's copy as the original, when this store lost its own. */
  readonly adoptFrom?: string;
  /** Lead with what is here; slaves that hold something else take a snapshot, their old copy kept aside. */
  readonly resetGroup?: boolean;
  /** Default 3000. */
  readonly leaseMs?: number;
  /** Receives one record for each thing that happens; `loggerOf` makes one of your logger. Default: none. */
  readonly log?: EventLog;
  /** Aborts the opening. A master that is open ends by `close`. */
  readonly signal?: AbortSignal | undefined;
  /** @internal Tests only: where this process is to die. */
  readonly crashPoint?: CrashPoint | undefined;
}

/** What a data set's changes take for granted; a change may say otherwise. */
export interface DataSetDefaults {
  /** Default `two`. */
  readonly phases?: Phases;
  /** Default `live`. */
  readonly voters?: VoterPolicy;
  /** A round's deadline; default 2000. */
  readonly timeoutMs?: number;
  /** How a commit travels first; default `multicast`. */
  readonly commitBy?: DeliveryMode;
  /** How an abort travels first; default `multicast`. */
  readonly abortBy?: DeliveryMode;
  /** Which packet kind carries changes; default `auto`. */
  readonly content?: ContentChoice;
  /** Bounds of the delta history; defaults in `limits`. */
  readonly historyBytes?: number;
  readonly historyAgeMs?: number;
  /** How long one callback of the user layer may take; default 10,000. A call past its time counts as failed. */
  readonly callbackMs?: number;
}

export interface MasterRegisterOptions extends DataSetDefaults, Cancellable {}

/** One replication: what changed, and how it is to travel. What is absent is as in `DataSetDefaults`. */
export interface ReplicateOptions {
  readonly version: number;
  /** Checked: must be the newest version started. Absent: whatever is. */
  readonly prior?: number | undefined;
  /** What leads from prior to version; absent: the user layer is asked. */
  readonly delta?: Uint8Array | undefined;
  readonly phases?: Phases | undefined;
  readonly timeoutMs?: number | undefined;
  readonly voters?: VoterPolicy | undefined;
  readonly content?: ContentChoice | undefined;
  readonly commitBy?: DeliveryMode | undefined;
  readonly abortBy?: DeliveryMode | undefined;
  readonly wait?: 'decided' | 'exposed' | undefined;
  /** The instant at which every server exposes the change, at once; until then it stays unseen. Default: as soon as it is decided. */
  readonly activateAt?: Instant | undefined;
  /** How many operations the change holds; `rounds()` shows it, and nothing else depends on it. */
  readonly operations?: number | undefined;
  /** Aborts the round when it isn't decided yet; the outcome says which it was. */
  readonly signal?: AbortSignal | undefined;
}

/** A date, Unix time in milliseconds, or so many milliseconds from now; by the clock of the master, whatever others show. */
export type Instant = Date | number | { readonly inMs: number };

export interface CancelActivationOptions extends Cancellable {
  /** How long to wait for those that may be armed to confirm; default 2000, and never beyond a lease before the instant. */
  readonly timeoutMs?: number;
}

/** What the tracing channel `lockstep:master:replicate` carries; Node adds `result` or `error` at the end. */
export interface ReplicateTrace {
  readonly dataSet: string;
  readonly version: number;
  readonly phases: Phases;
  readonly result?: ScheduledOutcome;
  readonly error?: unknown;
}

/** What `register` hands back for a user layer of the host's own. */
export interface MasterDataSet extends AsyncDisposable {
  readonly name: string;
  /** The committed tip. */
  readonly tip: Tip | null;
  /** Resolves when this master leads; rejects with `refused-by-group` when it may not, saying what to do. */
  leading(options?: Cancellable): Promise<void>;
  /**
   * Starts a replication and waits for its outcome. Rejects, before anything is sent, for misuse: a version not greater
   * than the last, a prior that isn't current, a change too large, a full queue, an instant that is too early (the error has
   * `earliestAtMs`) or too late. With `activateAt` it settles as `armed` once all voters have reported that they are, or
   * its time is up; with `wait: 'exposed'` when the instant has come, and all expose it.
   */
  replicate(options: ReplicateOptions & { readonly activateAt?: undefined }): Promise<Outcome>;
  replicate(options: ReplicateOptions): Promise<ScheduledOutcome>;
  /** A scheduled change that is decided and waits for its instant; what is replicated meanwhile queues behind it. */
  readonly armed: ArmedView | null;
  /**
   * Takes a scheduled change back before its instant. Everybody that may be armed has to confirm, a lease before the instant
   * at the latest: else the outcome is `stands`, and the change shows when it was to. Rejects with `round-unknown` when nothing
   * of this version is scheduled, and with `already-decided` when it is too late.
   */
  cancelActivation(version: number, options?: CancelActivationOptions): Promise<Cancellation>;
  /**
   * Before the decision: the change reaches nobody. After it: rejects with `already-decided`. An aborted signal ends the
   * wait, and not what was ordered; so it does for `forget`.
   */
  rollBack(version: number, options?: Cancellable): Promise<void>;
  /** Drops a member from the registry, so that `all` and new reigns no longer wait for it. */
  forget(node: string, options?: Cancellable): Promise<void>;
  /** The registered members as the master sees them now. */
  members(): readonly MemberView[];
  /** The core's account of itself; changes nothing. */
  view(): MasterView;
  /**
   * The newest rounds with their votes, newest first: at most `limit` of the 500 that are kept in memory, by default
   * all of them. Rounds of a reign before this process aren't among them.
   */
  rounds(limit?: number): readonly RoundAccount[];
  /** @internal What the feed reads. */
  readonly deltas: DeltaSource;
  /** @internal In whole milliseconds of group time. Throws `bad-option` for what is no instant. */
  instantOf(instant: Instant): number;
  /** Ends replications under way with a typed outcome, and says goodbye. */
  unregister(options?: Cancellable): Promise<void>;
}

/** A ready-made kind of data set: makes the user layer, and the handle that `register` returns. */
export interface MasterKind<Handle> {
  /** Called once by `register`. */
  create(context: MasterKindContext): MasterKindParts<Handle>;
}

/** What a ready-made kind is given to work with. */
export interface MasterKindContext {
  readonly dataSet: string;
  readonly durability: Durability;
  /** The service's own store: read at once, written through the layer's `shared` transactions or here. */
  readonly store: import('../shared/runtime/ports.js').Store;
  readonly defaults: DataSetDefaults;
  /** What the deadlines of waiting changes are measured with; virtual under simulation. */
  readonly clock: import('../shared/runtime/ports.js').Clock;
}

/** What a ready-made kind is made of. */
export interface MasterKindParts<Handle> {
  readonly layer: MasterUserLayer;
  /** Makes what `register` returns, once the data set is open. */
  handle(dataSet: MasterDataSet): Handle;
}
