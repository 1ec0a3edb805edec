import type { Tip } from '../shared/protocol/kernel/ids.js';
import type {
  ContentChoice,
  DeliveryMode,
  Durability,
  Outcome,
  Phases,
  VoterPolicy,
} from '../shared/protocol/kernel/outcome.js';
import type { CrashPoint } from '../shared/runtime/crash-points.js';
import type { KeySource } from '../shared/runtime/key-files.js';
import type { DeltaSource } from '../shared/runtime/delta-source.js';
import type { EventLog } from '../shared/runtime/ports.js';
import type { MemberView, MasterView, RoundAccount } from './service/core/view.js';
import type { MasterUserLayer } from './user/contract.js';

/** How a node reaches its group; the same on both sides. */
export interface GroupOptions {
  /** Multicast group and port; default `239.255.42.1:7401`. */
  readonly group?: string;
  /** The address of the interface to send and to join by; default `127.0.0.1`. Never left to the kernel. */
  readonly interface?: string;
  /** Unicast fan-out instead of multicast: the nodes to send to, `host:port`. At a slave: its master, and other slaves. */
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
  /** Receives one record for each thing that happens. Default: none. */
  readonly log?: EventLog;
  /** @internal Tests only: where this process is to die. */
  readonly crashPoint?: CrashPoint | undefined;
}

export interface DataSetDefaults {
  /** Default `two`. */
  readonly phases?: Phases;
  /** Default `live`. */
  readonly voters?: VoterPolicy;
  /** A round's deadline; default 2000. */
  readonly timeoutMs?: number;
  readonly commitBy?: DeliveryMode;
  readonly abortBy?: DeliveryMode;
  readonly content?: ContentChoice;
  /** Bounds of the delta history; defaults in `limits`. */
  readonly historyBytes?: number;
  readonly historyAgeMs?: number;
  /** How long one callback of the user layer may take; default 10,000. A call past its time counts as failed. */
  readonly callbackMs?: number;
}

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
  /** How many operations the change holds; `rounds()` shows it, and nothing else depends on it. */
  readonly operations?: number | undefined;
  /** Aborts the round when it isn't decided yet; the outcome says which it was. */
  readonly signal?: AbortSignal | undefined;
}

/** What `register` hands back for a user layer of the host's own. */
export interface MasterDataSet extends AsyncDisposable {
  readonly name: string;
  /** The committed tip. */
  readonly tip: Tip | null;
  /** Resolves when this master leads; rejects with `refused-by-group` when it may not, saying what to do. */
  leading(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Starts a replication and waits for its outcome. Rejects, before anything is sent, for misuse: a version not greater
   * than the last, a prior that isn't current, a change too large, a full queue.
   */
  replicate(options: ReplicateOptions): Promise<Outcome>;
  /** Before the decision: the change reaches nobody. After it: rejects with `already-decided`. */
  rollBack(version: number): Promise<void>;
  /** Drops a member from the registry, so that `all` and new reigns no longer wait for it. */
  forget(node: string): Promise<void>;
  members(): readonly MemberView[];
  view(): MasterView;
  /**
   * The newest rounds with their votes, newest first: at most `limit` of the 500 that are kept in memory, by default
   * all of them. Rounds of a reign before this process aren't among them.
   */
  rounds(limit?: number): readonly RoundAccount[];
  /** @internal What the feed reads. */
  readonly deltas: DeltaSource;
  /** Ends replications under way with a typed outcome, and says goodbye. */
  unregister(): Promise<void>;
}

/** A ready-made kind of data set: makes the user layer, and the handle that `register` returns. */
export interface MasterKind<Handle> {
  create(context: MasterKindContext): MasterKindParts<Handle>;
}

export interface MasterKindContext {
  readonly dataSet: string;
  readonly durability: Durability;
  /** The service's own store: read at once, written through the layer's `shared` transactions or here. */
  readonly store: import('../shared/runtime/ports.js').Store;
  readonly defaults: DataSetDefaults;
  /** What the deadlines of waiting changes are measured with; virtual under simulation. */
  readonly clock: import('../shared/runtime/ports.js').Clock;
}

export interface MasterKindParts<Handle> {
  readonly layer: MasterUserLayer;
  handle(dataSet: MasterDataSet): Handle;
}
