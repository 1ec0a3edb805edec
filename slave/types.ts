import type { Tip } from '../shared/protocol/kernel/ids.js';
import type { Durability } from '../shared/protocol/kernel/outcome.js';
import type { CrashPoint } from '../shared/runtime/crash-points.js';
import type { KeySource } from '../shared/runtime/key-files.js';
import type { DeltaSource } from '../shared/runtime/delta-source.js';
import type { EventLog, Store } from '../shared/runtime/ports.js';
import type { SlaveView } from './service/core/view.js';
import type { SlaveState } from '../shared/protocol/wire/messages.js';
export type { SlaveState };
import type { SlaveUserLayer } from './user/contract.js';

export interface SlaveOptions {
  /** Unique in the group. */
  readonly name: string;
  /** The folder of the store; made when it isn't there. */
  readonly store: string;
  /** Default `disk`. */
  readonly durability?: Durability;
  /** Multicast group and port; default `239.255.42.1:7401`. */
  readonly group?: string;
  /** The address of the interface to send and to join by; default `127.0.0.1`. */
  readonly interface?: string;
  /** Unicast instead of multicast: the master's address, and other slaves' to ask when in doubt. */
  readonly peers?: readonly string[];
  /** The port of the node's own socket; default 0, any free one. */
  readonly port?: number;
  /**
   * The group's keys, made by `lockstep keygen`: the path of a key file, or its text. Datagrams and streams are then
   * encrypted, and what only a master may say is signed. Default: none, which only loopback allows.
   */
  readonly keys?: KeySource;
  /** Leave this machine without keys: everybody on that network can read and change what is said. Default false. */
  readonly insecure?: boolean;
  readonly log?: EventLog;
  /** @internal Tests only: where this process is to die. */
  readonly crashPoint?: CrashPoint | undefined;
}

export interface SlaveDataSetOptions {
  /** How long one callback of the user layer may take; default 10,000. A `prepare` past its time is a no. */
  readonly callbackMs?: number;
}

/** What `register` hands back for a user layer of the host's own. */
export interface SlaveDataSet extends AsyncDisposable {
  readonly name: string;
  readonly tip: Tip | null;
  readonly state: SlaveState;
  view(): SlaveView;
  /** @internal What the feed reads. */
  readonly deltas: DeltaSource;
  /** Resolves when this copy exposes the version or a later one; rejects with `timed-out`. */
  reached(version: number, options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<Tip>;
  /** Every state exposed from now on, in order. A consumer that is too slow gets the newest: `skipped` counts the rest. */
  changes(options?: { readonly signal?: AbortSignal }): AsyncIterable<ExposedChange>;
  /** The operator's word on a diverged copy: keep it aside and take the master's. */
  discard(): Promise<void>;
  /**
   * The operator's word on a round in doubt that no master can tell about: `round` as `roundKey` in `view().inDoubt` names
   * it, `by` whoever takes the responsibility. Durable before it is carried out. It may break G1: another operator, or a
   * master that comes back, may decide otherwise. Rejects with `bad-operation` while a master that may know is heard.
   */
  resolve(round: string, outcome: 'committed' | 'aborted', by: string): Promise<void>;
  unregister(): Promise<void>;
}

export interface ExposedChange {
  readonly tip: Tip;
  readonly skipped: number;
}

/** A ready-made kind of data set: makes the user layer, and the handle that `register` returns. */
export interface SlaveKind<Handle> {
  create(context: SlaveKindContext): SlaveKindParts<Handle>;
}

export interface SlaveKindContext {
  readonly dataSet: string;
  readonly durability: Durability;
  readonly store: Store;
}

export interface SlaveKindParts<Handle> {
  readonly layer: SlaveUserLayer;
  handle(dataSet: SlaveDataSet): Handle;
}
