import { randomBytes } from 'node:crypto';
import { errorText, LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { EventOf } from '../../shared/protocol/kernel/events.js';
import { checkOperations } from '../../shared/protocol/key-value/validate.js';
import { SystemClock } from '../../shared/runtime/clock.js';
import { EventHub, silentLog, type EventListener, type ListenOptions } from '../../shared/runtime/node-events.js';
import type { Subscription } from '../../shared/runtime/node-events.js';
import type { Clock, EventLog } from '../../shared/runtime/ports.js';
import { Activations } from '../core/activations.js';
import type { ActivationRequest, ActivationSpreadBody, ItemEdit } from '../core/bodies.js';
import { cycleBounds as bounds } from '../core/bounds.js';
import { isDue, planActivation, planInterval, planLock, planPromote, planRoll } from '../core/cycle.js';
import {
  refusalCodes,
  type CopyName,
  type CycleState,
  type Plan,
  type Refusal,
  type RefusalCode,
} from '../core/table.js';
import { chooseChanges, cursorText, parseCursor, type ChangesQuery, type CopiedChanges } from './changes.js';
import type { Changed, CycleStore, ItemsQuery, StoredItem } from './cycle-store.js';
import { listenForHost, type DataServerListenOptions, type ServedHttp } from './http/serve.js';
import { openCycleStore } from './open-cycle-store.js';
import type { DataServerEvents } from './events.js';
import { ServerClock } from './server-clock.js';

/** Where the three copies are, and what a new database begins with. */
export interface DataServerOptions {
  /** The folder of the embedded database; made when it isn't there. Give this or `postgresql`. */
  readonly store?: string | undefined;
  /** A PostgreSQL database, `postgresql://user@host/database`; needs the package `pg`. Give this or `store`. */
  readonly postgresql?: string | undefined;
  /** The interval of a new database, milliseconds; default ten minutes. One that is there keeps its own. */
  readonly intervalMs?: number | undefined;
  /** Some instant of a new database's grid of activations; default 1970-01-01T00:00Z: full ten minutes are full ones. */
  readonly originMs?: number | undefined;
  /** Receives one record for each thing that happens; `loggerOf` makes one of your logger. Default: none. */
  readonly log?: EventLog | undefined;
}

/** What a data server runs on when it's made elsewhere: by a test. */
export interface DataServerFoundation {
  readonly store: CycleStore;
  readonly clock: Clock;
  readonly log?: EventLog;
}

/** The table after something was done to it. */
export interface CycleAnswer {
  readonly kind: 'table';
  readonly state: CycleState;
}

/** The table after a call of `roll`. */
export interface RollAnswer extends CycleAnswer {
  /** Whether this call was the one that rolled. */
  readonly rolled: boolean;
}

/** The table after a promotion. */
export interface PromoteAnswer extends CycleAnswer {
  /** Keys whose staged content changed. */
  readonly promoted: number;
}

/** What a data server did since it was opened. */
export interface DataServerCounters {
  readonly rolls: number;
  /** Keys copied from staged to active, and from production to staged. */
  readonly activated: number;
  readonly staged: number;
  /** By reason. */
  readonly refused: Readonly<Record<RefusalCode, number>>;
}

/**
 * The owner of a pull cycle's three copies: production, which is edited; staged, which servers fetch at leisure; and active,
 * which is what staged was at the last activation. It never acts by itself: the first server that comes after the
 * activation time rolls.
 *
 * What can't be done now is a value, `{kind: 'refused'}`, with figures. Methods reject with `store-unusable` when the database
 * doesn't answer (then nothing happened, or all of it), and with `closed` after `close`.
 */
export class DataServer implements AsyncDisposable {
  readonly clock: ServerClock;
  readonly #store: CycleStore;
  readonly #events: EventHub;
  readonly #served = new Set<ServedHttp>();
  readonly #activations = new Activations();
  #rolling: Promise<RollAnswer | Refusal> | null = null;
  #counters = { rolls: 0, activated: 0, staged: 0 };
  readonly #refused = new Map<RefusalCode, number>();
  #last: CycleState | null = null;
  #failedAtMs: number | null = null;
  #failure: string | null = null;

  /** @internal */
  constructor({ store, clock, log }: DataServerFoundation) {
    this.#store = store;
    this.clock = new ServerClock(clock);
    this.#events = new EventHub(log ?? silentLog);
  }

  /**
   * Opens the database, and makes what isn't there.
   *
   * Rejects with `bad-option`, `store-unusable`, `store-foreign` or `store-format`.
   */
  static async open(options: DataServerOptions): Promise<DataServer> {
    const { intervalMs = bounds.defaultIntervalMs, originMs = 0, log = silentLog } = options;
    checkInterval(intervalMs);
    checkOrigin(originMs);
    const clock = new SystemClock();
    let lost: (reason: string) => void = () => undefined;
    const store = await openCycleStore(options, { intervalMs, originMs, nowMs: clock.wallMs() }, (reason) => {
      lost(reason);
    });
    const server = new DataServer({ store, clock, log });
    lost = (reason) => {
      server.#tell({ name: 'connection lost', level: 'warn', fields: { reason } });
    };
    const { intervalMs: kept } = await server.status();
    if (options.intervalMs !== undefined && kept !== intervalMs)
      server.#tell({ name: 'interval kept', level: 'warn', fields: { askedMs: intervalMs, intervalMs: kept } });
    return server;
  }

  /** The table as it is. Changes nothing: an activation time in the past says that nobody has rolled since. */
  async status(): Promise<CycleState> {
    const state = await this.#watched(async (nowMs) => this.#store.state(nowMs));
    this.#last = state;
    return state;
  }

  /** What was read last; null before the first time. For metrics, which can't wait. */
  get lastState(): CycleState | null {
    return this.#last;
  }

  get counters(): DataServerCounters {
    const refused = refusalCodes.map((code) => [code, this.#refused.get(code) ?? 0] as const);
    return { ...this.#counters, refused: Object.fromEntries(refused) as Record<RefusalCode, number> };
  }

  /** Why the database couldn't be used when that was last tried; null: it could. */
  get failure(): string | null {
    return this.#failure;
  }

  /**
   * Rolls when the activation time has passed: the first caller does, all others find it done. Who calls while it is being
   * done here waits for it; while another process does it, the answer is a refusal `locked` that says for how long.
   */
  async roll(by: string): Promise<RollAnswer | Refusal> {
    const state = await this.status();
    if (!isDue(state, this.clock.nowMs())) return { kind: 'table', rolled: false, state };
    if (this.#rolling === null) {
      this.#rolling = this.#rollOnce(by).finally(() => {
        this.#rolling = null;
      });
      return this.#rolling;
    }
    const answer = await this.#rolling;
    return answer.kind === 'refused' ? answer : { ...answer, rolled: false };
  }

  /** What leads from what a server holds to what is staged, or active; see `ChangesBody`. */
  async changes(copy: CopyName, query: ChangesQuery = {}): Promise<CopiedChanges | Refusal> {
    if (query.after !== undefined && parseCursor(query.after) === null)
      throw new LockstepError('bad-input', 'after: is no `next` of a page before');
    return this.#watched(async (nowMs) => {
      const { result, changes, next, table } = await this.#store.page((found) =>
        chooseChanges(found, copy, query, nowMs),
      );
      if (result.kind === 'refused') return this.#refuse(result);
      const cursor = next === null ? null : cursorText(result.from === null ? 'whole' : 'since', next);
      return { ...result, source: table.source, changes, next: cursor };
    });
  }

  /** Another interval, milliseconds, from the next roll on; `originMs` moves the grid. Refused when no longer than the longest retrieval. */
  async setInterval(intervalMs: number, originMs?: number): Promise<CycleAnswer | Refusal> {
    checkInterval(intervalMs);
    if (originMs !== undefined) checkOrigin(originMs);
    const { result, state } = await this.#change((before, nowMs) =>
      planInterval(before, { intervalMs, originMs }, nowMs),
    );
    if (result.kind === 'refused') return this.#refuse(result);
    this.#tell({ name: 'interval changed', level: 'info', fields: { wasMs: result.wasMs, intervalMs } });
    return { kind: 'table', state };
  }

  /** Stages now what waits in production, or these keys of it. Refused when servers could no longer fetch in time. */
  async promote(keys: readonly string[] | null = null): Promise<PromoteAnswer | Refusal> {
    const { result, counts, state } = await this.#change((before, nowMs) => planPromote(before, keys, nowMs));
    if (result.kind === 'refused') return this.#refuse(result);
    const { cycle, activateAtMs } = state;
    this.#tell({ name: 'cycle promoted', level: 'info', fields: { cycle, staged: counts.staged, activateAtMs } });
    return { kind: 'table', promoted: counts.staged, state };
  }

  /**
   * Puts the next activation to `inMs` from now; with 0 it rolls at once, and each server switches when it next asks. Refused
   * when servers couldn't notice in time, or when something staged has a later date.
   */
  async activateNow(inMs = 0): Promise<CycleAnswer | Refusal> {
    if (!Number.isSafeInteger(inMs) || inMs < 0 || inMs > bounds.maxLeadMs)
      throw new LockstepError('bad-option', `inMs must be a whole number from 0 to ${bounds.maxLeadMs}, not ${inMs}`);
    const { result, state } = await this.#change((before, nowMs) => planActivation(before, inMs, nowMs));
    if (result.kind === 'refused') return this.#refuse(result);
    const activateAtMs = result.rolled ? (state.active.activatedAtMs ?? state.activateAtMs) : state.activateAtMs;
    const cycle = result.rolled ? state.active.cycle : state.cycle;
    this.#tell({ name: 'activation moved', level: 'info', fields: { cycle, activateAtMs } });
    return { kind: 'table', state };
  }

  /** How long a server took to retrieve a cycle. */
  async reportRetrieval(report: {
    readonly by: string;
    readonly cycle: number;
    readonly durationMs: number;
  }): Promise<CycleState> {
    const { by, cycle, durationMs } = report;
    const state = await this.#watched(async (nowMs) => {
      await this.#store.recordRetrieval({ by, cycle, durationMs, atMs: Math.floor(nowMs) });
      return this.#store.state(nowMs);
    });
    const { intervalMs } = state;
    if (durationMs >= intervalMs)
      this.#tell({ name: 'retrieval too long', level: 'warn', fields: { by, cycle, durationMs, intervalMs } });
    return state;
  }

  /** When a server showed a cycle. Kept in memory, for `activations`. */
  reportActivation(report: ActivationRequest): void {
    this.#activations.report(report);
  }

  /** When servers showed the last cycles, as they reported it, and how far apart that was; newest first. */
  activations(): readonly ActivationSpreadBody[] {
    return this.#activations.spreads();
  }

  /**
   * Edits production: all of it or nothing, in the given order. Resolves with how many keys changed, when that is on the disk.
   * Rejects with `bad-operation` for what is no key or no JSON, naming the position.
   */
  async edit(edits: readonly ItemEdit[]): Promise<number> {
    checkOperations(edits);
    return this.#watched(async () => this.#store.edit(edits));
  }

  /** The item in production; null: there is none. */
  async item(key: string): Promise<StoredItem | null> {
    const row = await this.#watched(async () => this.#store.item(key));
    return row === null || row.value === null ? null : { key, ...row };
  }

  /** Items of production, in the order of their keys' bytes. */
  async items(query: ItemsQuery): Promise<readonly StoredItem[]> {
    return this.#watched(async () => this.#store.items(query));
  }

  /**
   * Serves the HTTP API, which servers copy by, until it's closed, or this is. Rejects with `bad-option` or `address-in-use`.
   */
  async listen(options: DataServerListenOptions = {}): Promise<ServedHttp> {
    const served = await listenForHost(this, options, this.#events);
    this.#served.add(served);
    return served;
  }

  /** Calls back for each event of that name, or for all with `*`. */
  on<Name extends keyof DataServerEvents>(
    name: Name | '*',
    listener: (event: EventOf<DataServerEvents, Name>) => void,
    options: ListenOptions = {},
  ): Subscription {
    return this.#events.on(name, listener as EventListener, options);
  }

  async close(): Promise<void> {
    for (const served of this.#served) await served.close();
    this.#served.clear();
    await this.#rolling?.catch(() => undefined);
    await this.#store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Two transactions: others see that somebody is at it, and needn't wait; and a roll whose lock ran out does nothing. */
  async #rollOnce(by: string): Promise<RollAnswer | Refusal> {
    const token = randomBytes(16).toString('hex');
    const taken = await this.#change((state, nowMs) => planLock(state, { holder: by, token }, nowMs));
    if (taken.result.kind === 'refused') {
      const { lock } = taken.result;
      const fields = { by, holder: lock?.holder ?? '', untilMs: lock?.untilMs ?? 0 };
      this.#tell({ name: 'roll refused', level: 'info', fields });
      return this.#refuse(taken.result);
    }
    if (taken.result.kind === 'not due') return { kind: 'table', rolled: false, state: taken.state };
    const { result, counts, state } = await this.#change((before, nowMs) => planRoll(before, token, nowMs));
    if (result.rolled) {
      this.#counters = { ...this.#counters, rolls: this.#counters.rolls + 1 };
      const { cycle, activateAtMs, intervalMs, active } = state;
      const missed = Math.max(0, Math.round((activateAtMs - (active.activatedAtMs ?? activateAtMs)) / intervalMs) - 1);
      this.#tell({ name: 'cycle rolled', level: 'info', fields: { by, cycle, activateAtMs, ...counts, missed } });
    }
    return { kind: 'table', rolled: result.rolled, state };
  }

  async #change<Result>(decide: (state: CycleState, nowMs: number) => Plan<Result>): Promise<Changed<Result>> {
    const changed = await this.#watched(async (nowMs) =>
      // The time of the decision, and not of the call: a database may have to be waited for.
      this.#store.change<Result>(nowMs, (state) => decide(state, this.clock.nowMs())),
    );
    this.#last = changed.state;
    const { rolls, activated, staged } = this.#counters;
    const { counts } = changed;
    this.#counters = { rolls, activated: activated + counts.activated, staged: staged + counts.staged };
    return changed;
  }

  /** Keeps account of whether the database does what it's asked for. */
  async #watched<Result>(work: (nowMs: number) => Promise<Result>): Promise<Result> {
    try {
      const result = await work(this.clock.nowMs());
      if (this.#failedAtMs !== null) {
        const failedMs = Math.round(this.clock.nowMs() - this.#failedAtMs);
        this.#tell({ name: 'database back', level: 'info', fields: { failedMs } });
      }
      this.#failedAtMs = null;
      this.#failure = null;
      return result;
    } catch (error) {
      const reason = errorText(error);
      if (this.#failedAtMs === null && error instanceof LockstepError && error.code === 'store-unusable') {
        this.#failedAtMs = this.clock.nowMs();
        this.#tell({ name: 'database failed', level: 'error', fields: { reason } });
      }
      if (this.#failedAtMs !== null) this.#failure = reason;
      throw error;
    }
  }

  #refuse(refusal: Refusal): Refusal {
    this.#refused.set(refusal.code, (this.#refused.get(refusal.code) ?? 0) + 1);
    return refusal;
  }

  #tell(event: EventOf<DataServerEvents>): void {
    this.#events.record(event);
  }
}

/** Throws `bad-option`. */
function checkInterval(intervalMs: number): void {
  const { minIntervalMs, maxIntervalMs } = bounds;
  if (Number.isSafeInteger(intervalMs) && intervalMs >= minIntervalMs && intervalMs <= maxIntervalMs) return;
  throw new LockstepError(
    'bad-option',
    `the interval must be a whole number of milliseconds from ${minIntervalMs} to ${maxIntervalMs}, not ${intervalMs}`,
  );
}

/** Throws `bad-option`. */
function checkOrigin(originMs: number): void {
  if (Number.isSafeInteger(originMs) && Math.abs(originMs) <= bounds.latestInstantMs) return;
  throw new LockstepError(
    'bad-option',
    `the origin must be an instant in whole milliseconds since 1970, not ${originMs}`,
  );
}
