import { ClockEstimate } from '../../shared/protocol/clock/clock-estimate.js';
import { errorText, LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { EventOf } from '../../shared/protocol/kernel/events.js';
import { parseNodeId, type Digest } from '../../shared/protocol/kernel/ids.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import type { Random } from '../../shared/protocol/kernel/random.js';
import type { Json } from '../../shared/protocol/key-value/operations.js';
import type { ListOptions } from '../../shared/protocol/key-value/state.js';
import { refuseAborted, unlessAborted, type Cancellable } from '../../shared/runtime/aborting.js';
import { SystemClock } from '../../shared/runtime/clock.js';
import { guardedLog } from '../../shared/runtime/loggers.js';
import { EventHub, silentLog } from '../../shared/runtime/node-events.js';
import type { EventListener, ListenOptions, Subscription } from '../../shared/runtime/node-events.js';
import { systemRandom } from '../../shared/runtime/node-random.js';
import { PacedReaders } from '../../shared/runtime/paced-readers.js';
import type { Clock, Store } from '../../shared/runtime/ports.js';
import { openStore } from '../../shared/runtime/store-open.js';
import { Copies } from './copies.js';
import { cycleBounds } from './core/bounds.js';
import { CycleCore } from './core/cycle-core.js';
import type { CycleCopyEvents } from './events.js';
import { Follower, type Remote, type RemoteResult } from './follower.js';
import { RemoteDataServer, type Answered } from './remote-data-server.js';
import type {
  CycleCopyOptions,
  CycleCopyState,
  CycleEntry,
  CycleView,
  CycleWaitOptions,
  ShownCycle,
  ShownIterator,
} from './types.js';

interface Waiter {
  readonly cycle: number;
  readonly resolve: (cycle: number) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A server of a pull cycle: it holds an active copy, which readers see, and a staged one, which it retrieves from the data
 * server at leisure and shows at the prearranged instant, when all others do. Reads are synchronous, from memory, of one content for
 * the whole tick.
 *
 * It goes on serving, and activates what it has staged, while the data server is away. `close` (or `await using`) ends it.
 */
export class CycleCopy<Value = Json> implements AsyncDisposable {
  readonly name: string;
  readonly #copies: Copies;
  readonly #follower: Follower;
  readonly #events: EventHub;
  readonly #store: Store | null;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #shown = new PacedReaders<Omit<ShownCycle, 'skipped'>>(cycleBounds.changesBuffered);
  readonly #waiters = new Set<Waiter>();
  #closing: Promise<void> | null = null;

  private constructor(
    options: CycleCopyOptions & { readonly url: URL },
    parts: { readonly store: Store | null; readonly clock: Clock; readonly random: Random; readonly events: EventHub },
  ) {
    const { clock, random, events } = parts;
    const { maxClockErrorMs = limits.maxClockErrorMs } = options;
    this.name = options.name;
    this.#store = parts.store;
    this.#clock = clock;
    this.#events = events;
    this.#copies = new Copies(parts.store, options.mode ?? 'copy');
    const server = new RemoteDataServer({
      url: options.url,
      by: options.name,
      token: options.token,
      fetch: options.fetch ?? fetch,
      clock,
    });
    this.#follower = new Follower({
      core: new CycleCore({ clock: new ClockEstimate(), random, maxClockErrorMs }),
      copies: this.#copies,
      remote: this.#remoteOf(server),
      clock,
      log: events,
      shown: (shown) => this.#onShown(shown),
      broken: (reason) => this.#tell({ name: 'copy failed', level: 'error', fields: { reason } }),
    });
  }

  /**
   * Opens the store and starts to follow the data server. Resolves once the copy is open: with a store that holds one it can be
   * read at once, though it isn't current yet; `ready` waits for a first one.
   *
   * Rejects with `bad-option`, `store-unusable`, `store-format`, `store-foreign` or, when `signal` is aborted meanwhile,
   * `aborted-by-caller`. A data server that doesn't answer is no reason: it is asked until it does.
   */
  static async open<Value = Json>(options: CycleCopyOptions): Promise<CycleCopy<Value>> {
    refuseAborted(options.signal);
    const url = checkOptions(options);
    const node = parseNodeId(options.name);
    if (node === null) {
      throw new LockstepError(
        'bad-option',
        `name '${options.name}' can't name a copy: 1 to 64 bytes, no slash, no control characters`,
      );
    }
    const random = systemRandom();
    const opening =
      options.store === undefined ? null : openStore({ folder: options.store, node, role: 'cycle copy', random });
    const opened = opening === null ? null : await openedUnlessAborted(opening, options.signal);
    const store = opened?.store ?? null;
    try {
      const events = new EventHub(options.log === undefined ? silentLog : guardedLog(options.log));
      const clock = new SystemClock();
      const copy = new CycleCopy<Value>({ ...options, url }, { store, clock, random, events });
      copy.#follower.start();
      return copy;
    } catch (error) {
      await store?.close();
      throw error;
    }
  }

  /**
   * `current`: shows what the data server's table wants shown, by the data server's clock and as the table was at most 10 s ago.
   * `serving`: shows a content, and doesn't know whether the others still show it. `catching up`: knows that they show another one,
   * or has none yet. `failed`: the store failed; what shows stays, and nothing follows.
   */
  get state(): CycleCopyState {
    return this.view().state;
  }

  /** The cycle whose content readers see; null: none yet. 0: nothing was ever activated. */
  get cycle(): number | null {
    return this.#copies.held.active;
  }

  /** Keys that have a value. */
  get size(): number {
    return this.#copies.state.size;
  }

  /** The value that this copy shows; undefined when there is no such key. */
  get(key: string): Value | undefined {
    return this.#copies.state.entry(key)?.value as Value | undefined;
  }

  has(key: string): boolean {
    return this.#copies.state.entry(key) !== undefined;
  }

  /** In key order; all of one content. `after` pages on. */
  list(options?: ListOptions): readonly CycleEntry<Value>[] {
    return this.#copies.state.list(options).map(({ key, value }) => ({ key, value: value as Value }));
  }

  /** Of the content that shows; equal at all copies that show one cycle. Costs a pass over the entries. */
  digest(): Digest {
    return this.#copies.state.digest();
  }

  /** An account of itself: what it holds and waits for, the clock, and the last activation. */
  view(): CycleView {
    return this.#follower.view();
  }

  /** Resolves with the cycle that shows, as soon as any does. Rejects as `reached` does. */
  ready(options?: CycleWaitOptions): Promise<number> {
    return this.reached(0, options);
  }

  /** Resolves with the cycle that shows once it is this one or a later one. Rejects with `timed-out`, `aborted-by-caller` or `closed`. */
  async reached(cycle: number, { timeoutMs, signal }: CycleWaitOptions = {}): Promise<number> {
    refuseAborted(signal);
    const shown = this.cycle;
    if (shown !== null && shown >= cycle) return shown;
    if (this.#closing !== null) throw closedError();
    let waiter: Waiter | null = null;
    let cancel = (): void => undefined;
    const wait = new Promise<number>((resolve, reject) => {
      waiter = { cycle, resolve, reject };
      this.#waiters.add(waiter);
      if (timeoutMs === undefined) return;
      const late = (): void => {
        const message = `cycle ${cycle} did not show within ${timeoutMs} ms; this copy shows ${this.cycle ?? 'nothing'}`;
        reject(new LockstepError('timed-out', message));
      };
      // A system timer of more than 24 days would end at once.
      cancel = this.#clock.at(this.#clock.monotonicMs() + timeoutMs, late);
    });
    try {
      return await unlessAborted(wait, signal);
    } finally {
      if (waiter !== null) this.#waiters.delete(waiter);
      cancel();
    }
  }

  /** Every content that shows from now on, in order, with the instant reached. A consumer that is too slow gets the newest. */
  changes({ signal }: Cancellable = {}): ShownIterator {
    return this.#shown.subscribe(signal);
  }

  /**
   * Listens for one name of event, or for all with `*`: `docs/events.md` lists them. Listeners are called at once; one that
   * throws disturbs nobody. The returned function stops it, as `using` and the signal do.
   */
  on<Name extends keyof CycleCopyEvents>(
    name: Name,
    listener: (event: EventOf<CycleCopyEvents, Name>) => void,
    options?: ListenOptions,
  ): Subscription;
  on(name: '*', listener: (event: EventOf<CycleCopyEvents>) => void, options?: ListenOptions): Subscription;
  on(name: string, listener: (event: never) => void, options?: ListenOptions): Subscription {
    return this.#events.on(name, listener as EventListener, options);
  }

  /** Ends timers, requests and readers, and closes the store. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#follower.stop();
    this.#stop.abort();
    this.#shown.end();
    for (const waiter of this.#waiters) waiter.reject(closedError());
    await this.#store?.close();
  }

  #onShown(shown: Omit<ShownCycle, 'skipped'>): void {
    this.#shown.push(shown);
    for (const waiter of [...this.#waiters]) if (shown.cycle >= waiter.cycle) waiter.resolve(shown.cycle);
  }

  #remoteOf(server: RemoteDataServer): Remote {
    const { signal } = this.#stop;
    const settle = (work: Promise<Answered>, done: (result: RemoteResult) => void): void => {
      work.then(
        (answered) => done({ ok: true, ...answered }),
        (error: unknown) => done({ ok: false, reason: errorText(error) }),
      );
    };
    const report = (what: 'retrieval' | 'activation', work: Promise<void>): void => {
      work.catch((error: unknown) => {
        if (!signal.aborted)
          this.#tell({ name: 'report lost', level: 'debug', fields: { what, reason: errorText(error) } });
      });
    };
    return {
      ask: (what, done) => settle(server.ask(what, signal), done),
      fetch: (request, done) => settle(server.fetch(request, signal), done),
      reportRetrieval: (retrieval) => report('retrieval', server.reportRetrieval(retrieval, signal)),
      reportActivation: (activation) => report('activation', server.reportActivation(activation, signal)),
    };
  }

  #tell(event: EventOf<CycleCopyEvents>): void {
    this.#events.record(event);
  }
}

/** What was opened for a caller who has gone is closed again. */
async function openedUnlessAborted<Opened extends { readonly store: Store }>(
  opening: Promise<Opened>,
  signal: AbortSignal | undefined,
): Promise<Opened> {
  try {
    return await unlessAborted(opening, signal);
  } catch (error) {
    if (signal?.aborted === true)
      void opening.then(
        ({ store }) => store.close(),
        () => undefined,
      );
    throw error;
  }
}

/** Throws `bad-option`. */
function checkOptions(options: CycleCopyOptions): URL {
  const { mode = 'copy', maxClockErrorMs = limits.maxClockErrorMs } = options;
  const from = String(options.from);
  const url = URL.canParse(from) ? new URL(from) : null;
  if (
    url === null ||
    (url.protocol !== 'http:' && url.protocol !== 'https:') ||
    (url.pathname !== '/' && url.pathname !== '')
  )
    throw new LockstepError(
      'bad-option',
      `from '${from}' is no HTTP address; give that of the data server, such as http://127.0.0.1:7500`,
    );
  if (mode !== 'copy' && mode !== 'swap')
    throw new LockstepError('bad-option', `mode '${String(mode)}' is none; give 'copy' or 'swap'`);
  if (!(maxClockErrorMs > 0 && maxClockErrorMs <= 60_000))
    throw new LockstepError(
      'bad-option',
      `maxClockErrorMs must be more than 0 and at most 60000, not ${maxClockErrorMs}`,
    );
  return url;
}

function closedError(): LockstepError {
  return new LockstepError('closed', 'this copy is closed');
}
