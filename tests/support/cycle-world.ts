import { Copies, type ActivationMode } from '../../activation/copy/copies.js';
import { cycleBounds } from '../../activation/copy/core/bounds.js';
import { CycleCore } from '../../activation/copy/core/cycle-core.js';
import type { Activation, Cycle, CycleView } from '../../activation/copy/core/io.js';
import { Follower, type Remote, type RemoteResult } from '../../activation/copy/follower.js';
import { ClockEstimate } from '../../shared/protocol/clock/clock-estimate.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import { seededRandom, type Random } from '../../shared/protocol/kernel/random.js';
import type { StoreKey, StoreOperation, StoreTransaction, StoreValue } from '../../shared/protocol/kernel/store.js';
import type { Json } from '../../shared/protocol/key-value/operations.js';
import type { Clock, EventRecord, Store } from '../../shared/runtime/ports.js';

/** The one true time, and what is due in it. */
export class TrueTime {
  nowMs = 0;
  readonly #due: { readonly atMs: number; readonly order: number; run: (() => void) | null }[] = [];
  #order = 0;

  at(atMs: number, run: () => void): () => void {
    const entry = { atMs: Math.max(atMs, this.nowMs), order: (this.#order += 1), run: run as (() => void) | null };
    this.#due.push(entry);
    return () => {
      entry.run = null;
    };
  }

  runUntil(untilMs: number, look: () => void = () => undefined): void {
    for (;;) {
      this.#due.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const [next] = this.#due;
      if (next === undefined || next.atMs > untilMs) break;
      this.#due.shift();
      this.nowMs = next.atMs;
      next.run?.();
      look();
    }
    this.nowMs = untilMs;
  }
}

/** A crystal of one machine: how far it is off, and how fast it runs. */
export interface Crystal {
  readonly offsetMs: number;
  readonly rate: number;
}

export interface Network {
  /** One way, drawn for each message; null: it is lost. */
  readonly toServerMs: (random: Random) => number | null;
  readonly toCopyMs: (random: Random) => number | null;
}

export const quietNetwork: Network = {
  toServerMs: (random) => 0.2 + random.next(),
  toCopyMs: (random) => 0.2 + random.next(),
};

type Items = ReadonlyMap<string, Json>;

/**
 * A data server by the book: production, staged and active, a table, and a lock that dies with its holder. Each content that
 * ever was is kept, so that what a copy shows can be held against it.
 */
export class ModelDataServer {
  readonly production = new Map<string, Json>();
  readonly contents = new Map<Cycle, Items>([
    [0, new Map()],
    [1, new Map()],
  ]);
  readonly rolls: { readonly by: string; readonly atMs: number }[] = [];
  readonly retrievals: { readonly by: string; readonly cycle: Cycle; readonly durationMs: number }[] = [];
  readonly activations: { readonly by: string; readonly activation: Activation }[] = [];
  /** Keys that ever left in an answer. */
  movedKeys = 0;
  staged: Cycle = 1;
  active: Cycle = 0;
  activateAtMs: number;
  intervalMs: number;
  source = 'database';
  clockId = 'first';
  isUp = true;
  /** Contents of the staged copy can't be had. */
  refusesStaged = false;
  /** The next who gets the lock dies with it. */
  nextHolderDies = false;
  #lock: { readonly holder: string; readonly untilMs: number } | null = null;
  readonly #time: { readonly nowMs: number };
  readonly #crystal: Crystal;

  constructor(
    time: { readonly nowMs: number },
    crystal: Crystal,
    options: { readonly firstInMs: number; readonly intervalMs: number },
  ) {
    this.#time = time;
    this.#crystal = crystal;
    this.activateAtMs = this.nowMs + options.firstInMs;
    this.intervalMs = options.intervalMs;
  }

  /** What its clock shows. */
  get nowMs(): number {
    return clockShows(this.#crystal, this.#time.nowMs);
  }

  /** The true time at which its clock shows this. */
  trueMsOf(shownMs: number): number {
    return (shownMs - this.#crystal.offsetMs) / (1 + this.#crystal.rate);
  }

  put(key: string, value: Json): void {
    this.production.set(key, value);
  }

  promote(): void {
    this.staged += 1;
    this.contents.set(this.staged, new Map(this.production));
  }

  roll(by: string): RemoteResult {
    const nowMs = this.nowMs;
    const isDue = nowMs >= this.activateAtMs;
    if (isDue && this.#lock !== null && nowMs < this.#lock.untilMs)
      return { ok: true, answer: { kind: 'locked', ...this.#lock }, stamps: this.#stamps() };
    if (isDue && this.nextHolderDies) {
      this.nextHolderDies = false;
      this.#lock = { holder: by, untilMs: nowMs + 4000 };
      return { ok: false, reason: 'the process that rolled died' };
    }
    if (isDue) {
      this.#lock = null;
      this.rolls.push({ by, atMs: nowMs });
      const missed = Math.floor((nowMs - this.activateAtMs) / this.intervalMs) + 1;
      this.activateAtMs += missed * this.intervalMs;
      this.active = this.staged;
      this.staged += 1;
      this.contents.set(this.staged, new Map(this.production));
    }
    return this.table(isDue);
  }

  table(rolled = false): RemoteResult {
    const { source, staged: cycle, activateAtMs, intervalMs, active: activeCycle } = this;
    const table = { source, cycle, activateAtMs, intervalMs, activeCycle };
    return { ok: true, answer: { kind: 'table', table, rolled }, stamps: this.#stamps() };
  }

  content(of: 'staged' | 'active', since: Cycle | null, source: string): RemoteResult {
    if (of === 'staged' && this.refusesStaged) return { ok: false, reason: 'the staged content can not be had' };
    const isDue = this.nowMs >= this.activateAtMs;
    const cycle = of === 'staged' || isDue ? this.staged : this.active;
    const isKnown = since !== null && source === this.source && since <= cycle && this.contents.has(since);
    const from = isKnown ? since : null;
    const before: Items = from === null ? new Map() : (this.contents.get(from) ?? new Map());
    const after = this.contents.get(cycle) ?? new Map<string, Json>();
    const keys: string[] = [];
    const values: Json[] = [];
    const deletes: number[] = [];
    for (const [key, value] of after) {
      if (before.get(key) === value) continue;
      keys.push(key);
      values.push(value);
    }
    for (const key of before.keys()) {
      if (after.has(key)) continue;
      deletes.push(keys.length);
      keys.push(key);
      values.push(null);
    }
    this.movedKeys += keys.length;
    const activateAtMs = cycle === this.staged ? this.activateAtMs : this.activateAtMs - this.intervalMs;
    return {
      ok: true,
      answer: { kind: 'content', source: this.source, cycle, activateAtMs, from, changes: keys.length },
      stamps: this.#stamps(),
      content: { source: this.source, cycle, from, columns: { keys, values, deletes } },
    };
  }

  /** The other two are the asker's. */
  #stamps(): Extract<RemoteResult, { ok: true }>['stamps'] {
    return {
      clockId: this.clockId,
      sentMs: NaN,
      receivedMs: NaN,
      remoteReceivedMs: this.nowMs,
      remoteSentMs: this.nowMs,
    };
  }
}

/** A disk that takes its time; what wasn't done when the process ended is lost. */
class ModelDisk implements Store {
  readonly records = new Map<string, { readonly key: StoreKey; readonly value: StoreValue }>();
  readonly #later: (run: () => void) => void;

  constructor(later: (run: () => void) => void) {
    this.#later = later;
  }

  get(key: StoreKey): StoreValue | undefined {
    return this.records.get(JSON.stringify(key))?.value;
  }

  range(prefix: StoreKey): Iterable<{ readonly key: StoreKey; readonly value: StoreValue }> {
    const isBelow = (key: StoreKey): boolean =>
      key.length > prefix.length && prefix.every((part, place) => key[place] === part);
    return [...this.records.values()].filter(({ key }) => isBelow(key));
  }

  write(change: (transaction: StoreTransaction) => void, _options: object, done: (error: Error | null) => void): void {
    const operations: StoreOperation[] = [];
    change({
      put: (key, value) => void operations.push({ kind: 'put', key, value: structuredClone(value) }),
      remove: (key) => void operations.push({ kind: 'remove', key }),
    });
    this.#later(() => {
      for (const operation of operations) {
        const name = JSON.stringify(operation.key);
        if (operation.kind === 'put') this.records.set(name, operation);
        else this.records.delete(name);
      }
      done(null);
    });
  }

  async close(): Promise<void> {}
}

export interface ModelCopyOptions {
  readonly mode?: ActivationMode;
  readonly crystal?: Crystal;
  readonly network?: Network;
  readonly seed?: number;
  readonly diskMs?: number;
}

/** One server: its process can be killed, stopped and started, its machine can sleep, and its network can be cut. */
export class ModelCopy {
  readonly events: EventRecord[] = [];
  /** The true time of each switch that readers saw. */
  readonly shown: { readonly cycle: Cycle; readonly atMs: number }[] = [];
  network: Network;
  readonly name: string;
  readonly #time: TrueTime;
  readonly #server: ModelDataServer;
  readonly #options: ModelCopyOptions;
  readonly #random: Random;
  readonly #disk: ModelDisk;
  /** Raised by each end: what was under way for an earlier life is dropped. */
  #life = 0;
  #pausedUntilMs = 0;
  /** How long the monotonic clock stood, and how far the wall clock was set beyond that. */
  #sleptMs = 0;
  #wallSetMs = 0;
  #copies: Copies | null = null;
  #follower: Follower | null = null;

  constructor(name: string, time: TrueTime, server: ModelDataServer, options: ModelCopyOptions = {}) {
    this.name = name;
    this.#time = time;
    this.#server = server;
    this.#options = options;
    this.network = options.network ?? quietNetwork;
    this.#random = seededRandom(options.seed ?? 1);
    this.#disk = new ModelDisk((run) => this.#later(options.diskMs ?? 1, run));
  }

  start(mode: ActivationMode = this.#options.mode ?? 'swap'): void {
    const copies = new Copies(this.#disk, mode);
    const clock = new ClockEstimate();
    const core = new CycleCore({ clock, maxClockErrorMs: limits.maxClockErrorMs, random: this.#random.fork() });
    this.#copies = copies;
    this.#follower = new Follower({
      core,
      copies,
      clock: this.#clock,
      remote: this.#remote,
      log: { record: (event) => void this.events.push(event) },
      shown: ({ cycle }) => void this.shown.push({ cycle, atMs: this.#time.nowMs }),
      broken: (reason) => {
        throw new Error(reason);
      },
    });
    this.#follower.start();
  }

  /** As kill -9 does it. */
  kill(): void {
    this.#life += 1;
    this.#follower?.stop();
    this.#follower = null;
    this.#copies = null;
  }

  /** As SIGSTOP does it: its clocks go on. */
  pause(forMs: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#time.nowMs + forMs);
  }

  /** As a laptop's lid does it: its monotonic clock stands, its time of day goes on. */
  sleep(forMs: number): void {
    this.pause(forMs);
    this.#sleptMs += forMs;
  }

  /** Somebody sets the time of day. */
  setWall(byMs: number): void {
    this.#wallSetMs += byMs;
  }

  /** Its disk is gone. */
  reset(): void {
    this.#disk.records.clear();
  }

  /** Without looking at what is due: what a reader of the same turn sees. */
  get content(): Items {
    return new Map((this.#copies?.state.list() ?? []).map(({ key, value }) => [key, value]));
  }

  get cycle(): Cycle | null {
    return this.#copies?.held.active ?? null;
  }

  view(): CycleView {
    if (this.#follower === null) throw new Error(`${this.name} does not run`);
    return this.#follower.view();
  }

  named(name: string): EventRecord[] {
    return this.events.filter((event) => event.name === name);
  }

  get isPaused(): boolean {
    return this.#time.nowMs < this.#pausedUntilMs;
  }

  get #monotonicMs(): number {
    return clockShows(this.#crystal, this.#time.nowMs) - this.#sleptMs;
  }

  get #crystal(): Crystal {
    return this.#options.crystal ?? { offsetMs: 0, rate: 0 };
  }

  readonly #clock: Clock = {
    monotonicMs: () => this.#monotonicMs,
    wallMs: () => this.#time.nowMs + this.#wallSetMs,
    at: (atMs, callback) => this.#at(atMs, callback),
    exactlyAt: (atMs, callback) => this.#at(atMs, callback),
    soon: (callback) => this.#later(0, callback),
  };

  readonly #remote: Remote = {
    ask: (what, done) =>
      this.#call(
        () => (what === 'roll' ? this.#server.roll(this.name) : this.#server.table()),
        cycleBounds.askTimeoutMs,
        done,
      ),
    fetch: ({ of, since, source }, done) =>
      this.#call(() => this.#server.content(of, since, source), cycleBounds.idleMs, done),
    reportRetrieval: ({ cycle, durationMs }) =>
      this.#send(() => this.#server.retrievals.push({ by: this.name, cycle, durationMs })),
    reportActivation: (activation) => this.#send(() => this.#server.activations.push({ by: this.name, activation })),
  };

  #at(atMs: number, callback: () => void): () => void {
    if (atMs === Infinity) return () => undefined;
    let isOver = false;
    // Never less than a nanosecond: the clock there is rounded otherwise than the one here, and has to move.
    const wait = (): void => this.#later(Math.max(1e-6, atMs - this.#monotonicMs) / (1 + this.#crystal.rate), wake);
    const wake = (): void => {
      if (isOver) return;
      // As the real one: it looks at the clock again, which may have stood meanwhile.
      if (this.#monotonicMs < atMs) wait();
      else callback();
    };
    wait();
    return () => {
      isOver = true;
    };
  }

  #send(arrive: () => void): void {
    const toMs = this.network.toServerMs(this.#random);
    if (toMs !== null && this.#server.isUp) this.#time.at(this.#time.nowMs + toMs, arrive);
  }

  #call(serve: () => RemoteResult, timeoutMs: number, done: (result: RemoteResult) => void): void {
    const sentMs = this.#monotonicMs;
    let isOver = false;
    const end = (result: RemoteResult): void => {
      if (isOver) return;
      isOver = true;
      done(result);
    };
    this.#later(timeoutMs, () => end({ ok: false, reason: `no answer for ${timeoutMs} ms` }));
    this.#send(() => {
      if (!this.#server.isUp) return;
      const result = serve();
      const backMs = this.network.toCopyMs(this.#random);
      if (backMs === null) return;
      this.#later(backMs, () => {
        if (!result.ok) return end(result);
        end({ ...result, stamps: { ...result.stamps, sentMs, receivedMs: this.#monotonicMs } });
      });
    });
  }

  /** In this life, and not while it is paused. */
  #later(inMs: number, run: () => void): void {
    const life = this.#life;
    const tryRun = (): void => {
      if (life !== this.#life) return;
      if (this.isPaused) this.#time.at(this.#pausedUntilMs, tryRun);
      else run();
    };
    this.#time.at(this.#time.nowMs + inMs, tryRun);
  }
}

function clockShows({ offsetMs, rate }: Crystal, trueMs: number): number {
  return offsetMs + trueMs * (1 + rate);
}
