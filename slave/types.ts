import type { TransportMode } from '../shared/protocol/stream/paths.js';
import type { Tip } from '../shared/protocol/kernel/ids.js';
import type { Durability } from '../shared/protocol/kernel/outcome.js';
import type { Cancellable } from '../shared/runtime/aborting.js';
import type { CrashPoint } from '../shared/runtime/crash-points.js';
import type { KeySource } from '../shared/runtime/key-files.js';
import type { DeltaSource } from '../shared/runtime/delta-source.js';
import type { EventLog, Store } from '../shared/runtime/ports.js';
import type { SlaveView } from './service/core/view.js';
import type { SlaveState } from '../shared/protocol/wire/messages.js';
export type { Cancellable, SlaveState };
import type { SlaveUserLayer } from './user/contract.js';

/** How a slave is opened: who it is, where it keeps its copy, and how it reaches its group. */
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
  /**
   * How it reaches all. `multicast`: by multicast alone. `unicast`: to each of `peers`, and to whoever has been heard, by
   * unicast. `auto`: by multicast, and by unicast as well to those whom multicast doesn't reach, for as long as it
   * doesn't; that needs an address of theirs, from `peers` or from having heard them. Default: `unicast` when `peers` are
   * given, else `auto`.
   */
  readonly transport?: TransportMode;
  /** `host:port` of other nodes: the master's, and other slaves' to ask when in doubt. */
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
  /** Receives one record for each thing that happens; `loggerOf` makes one of your logger. Default: none. */
  readonly log?: EventLog;
  /** Aborts the opening. A slave that is open ends by `close`. */
  readonly signal?: AbortSignal | undefined;
  /** @internal Tests only: where this process is to die. */
  readonly crashPoint?: CrashPoint | undefined;
}

/** What holds for one data set of a slave. */
export interface SlaveDataSetOptions {
  /** How long one callback of the user layer may take; default 10,000. A `prepare` past its time is a no. */
  readonly callbackMs?: number;
}

export interface SlaveRegisterOptions extends SlaveDataSetOptions, Cancellable {}

/** What `register` hands back for a user layer of the host's own. */
export interface SlaveDataSet extends AsyncDisposable {
  readonly name: string;
  readonly tip: Tip | null;
  readonly state: SlaveState;
  /** The core's account of itself; changes nothing. */
  view(): SlaveView;
  /** @internal What the feed reads. */
  readonly deltas: DeltaSource;
  /** Resolves when this copy exposes the version or a later one; rejects with `timed-out`. */
  reached(version: number, options?: ReachedOptions): Promise<Tip>;
  /** Every state exposed from now on, in order. A consumer that is too slow gets the newest: `skipped` counts the rest. */
  changes(options?: Cancellable): ChangeIterator<ExposedChange>;
  /**
   * The operator's word on a diverged copy: keep it aside and take the master's. An aborted signal ends the wait, and not
   * what was ordered; so it does for `resolve`.
   */
  discard(options?: Cancellable): Promise<void>;
  /**
   * The operator's word on a round in doubt that no master can tell about: `round` as `roundKey` in `view().inDoubt` names
   * it, `by` whoever takes the responsibility. Durable before it is carried out. It may break G1: another operator, or a
   * master that comes back, may decide otherwise. Rejects with `bad-operation` while a master that may know is heard.
   */
  resolve(round: string, outcome: 'committed' | 'aborted', by: string, options?: Cancellable): Promise<void>;
  /** Stops this data set and says goodbye for it; the copy stays on disk. */
  unregister(options?: Cancellable): Promise<void>;
}

export interface ReachedOptions extends Cancellable {
  /** Default: as long as it takes. When it is over, the wait rejects with `timed-out`. */
  readonly timeoutMs?: number | undefined;
}

/** A state that readers see from now on; `skipped` states before it went by unseen by this consumer. */
export interface ExposedChange {
  readonly tip: Tip;
  /** Changes that this one stands for too, because the reader was slow. */
  readonly skipped: number;
}

/** For `for await`. Leaving the loop, an aborted signal, `using`, and the end of the data set end it; it never throws. */
export type ChangeIterator<Change> = AsyncIterableIterator<Change, undefined, undefined> & AsyncDisposable;

/** A ready-made kind of data set: makes the user layer, and the handle that `register` returns. */
export interface SlaveKind<Handle> {
  /** Called once by `register`. */
  create(context: SlaveKindContext): SlaveKindParts<Handle>;
}

/** What a ready-made kind is given to work with. */
export interface SlaveKindContext {
  /** The slave's name. */
  readonly node: string;
  readonly dataSet: string;
  readonly durability: Durability;
  readonly store: Store;
}

/** What a ready-made kind is made of. */
export interface SlaveKindParts<Handle> {
  readonly layer: SlaveUserLayer;
  /** Makes what `register` returns, once the data set is open. */
  handle(dataSet: SlaveDataSet): Handle;
}
