import type { Cancellable } from '../../shared/runtime/aborting.js';
import type { EventLog } from '../../shared/runtime/ports.js';
import type { Activation, Cycle, CycleCopyState, CycleView } from './core/io.js';
import type { ActivationMode } from './copies.js';

export type { Activation, ActivationMode, CycleCopyState, CycleView };

/** How a copy of a pull cycle is opened: who it is, whom it follows, and where it keeps what it has. */
export interface CycleCopyOptions {
  /** For people, in the data server's accounts: 1 to 64 bytes, no slash. */
  readonly name: string;
  /** The HTTP address of the data server, such as `http://10.0.0.1:7500`. */
  readonly from: string | URL;
  /**
   * The folder of the copies; made when it isn't there. With it a restart serves at once, and retrieves only what changed.
   * Default: none, in memory only.
   */
  readonly store?: string | undefined;
  /**
   * How the staged copy becomes the active one, in one turn of the event loop either way. `copy`: what differs is copied over;
   * that takes as long as there are changes, and memory for one content. `swap`: two whole contents are exchanged, which takes no
   * time whatever has changed, and memory for both. Default `copy`.
   */
  readonly mode?: ActivationMode | undefined;
  /**
   * Milliseconds. With a larger clock error the copy doesn't guess when the instant is: it activates when it has certainly
   * passed, and isn't current meanwhile. Default 50.
   */
  readonly maxClockErrorMs?: number | undefined;
  /** The token that the data server wants; default: none. */
  readonly token?: string | undefined;
  /** How the data server is asked; default: Node's own. */
  readonly fetch?: typeof fetch | undefined;
  /** Receives one record for each thing that happens; `loggerOf` makes one of your logger. Default: none. */
  readonly log?: EventLog | undefined;
  /** Aborts the opening. A copy that is open ends by `close`. */
  readonly signal?: AbortSignal | undefined;
}

/** A content that readers see from now on. */
export interface ShownCycle {
  readonly cycle: Cycle;
  /** When it showed, and how sure that is; null: it was taken as it was, and not at an instant. */
  readonly activation: Activation | null;
  /** Contents that this one stands for too, because the reader of `changes()` was slow. */
  readonly skipped: number;
}

export interface CycleWaitOptions extends Cancellable {
  /** Default: as long as it takes. When it is over, the wait rejects with `timed-out`. */
  readonly timeoutMs?: number | undefined;
}

/** One key of a content. */
export interface CycleEntry<Value> {
  readonly key: string;
  readonly value: Value;
}

/** For `for await`. Leaving the loop, an aborted signal, `using`, and the end of the copy end it; it never throws. */
export type ShownIterator = AsyncIterableIterator<ShownCycle, undefined, undefined> & AsyncDisposable;
