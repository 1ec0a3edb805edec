import type { ClockEstimate } from '../../../shared/protocol/clock/clock-estimate.js';
import { unreachable } from '../../../shared/protocol/kernel/invariant.js';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import { Backoff } from './backoff.js';
import { cycleBounds as bounds } from './bounds.js';
import type { CycleCopyCoreEvents } from './events.js';
import type {
  Activation,
  ContentKind,
  Cycle,
  CycleAnswer,
  CycleEffect,
  CycleInput,
  CycleStamps,
  CycleTable,
  CycleView,
  HeldCopies,
  RequestId,
} from './io.js';
import { RemoteTime, type Passed } from './remote-time.js';
import { worthOf } from './worth.js';

export interface CycleCoreConfig {
  /** Above this error the clock is no base for an activation. */
  readonly maxClockErrorMs: number;
  readonly clock: ClockEstimate;
  readonly random: Random;
}

interface Fetching {
  readonly request: RequestId;
  readonly of: ContentKind;
  readonly since: Cycle | null;
  readonly source: string;
  readonly sentMs: number;
  /** What arrived and is being stored. */
  arrived: Extract<CycleAnswer, { kind: 'content' }> | null;
}

/**
 * A server of the pull cycle, as a pure core: reads the table and the clock, rolls when due, retrieves what is staged and
 * shows it at its instant. It holds numbers of contents, never a content. Two things go on side by side, each with one request
 * at a time: asking about the table, and fetching.
 */
export class CycleCore {
  readonly #random: Random;
  readonly #maxErrorMs: number;
  readonly #time: RemoteTime;
  #effects: CycleEffect[] = [];
  #held: HeldCopies = { source: null, active: null, staged: null, base: null };
  #started = false;
  #broken: string | null = null;

  #table: CycleTable | null = null;
  /** When the answer that told the table was asked for: it is at least as new as that. */
  #tableAsOfMs = -Infinity;
  /** The data server's own clock showed the instant as passed, and nobody had rolled. */
  #mustRoll = false;
  #isHeard: boolean | null = null;
  #asking: { readonly request: RequestId; readonly what: 'table' | 'roll' } | null = null;
  #askAtMs = Infinity;
  readonly #askBackoff = new Backoff();

  #fetching: Fetching | null = null;
  #fetchAtMs = -Infinity;
  readonly #fetchBackoff = new Backoff();
  #retrieving: { readonly cycle: Cycle; readonly sinceMs: number } | null = null;
  #retrieval: CycleView['retrieval'] = null;

  /** What a staged content waits for: remembered, since the table may have gone on when it shows. */
  #armed: { readonly cycle: Cycle; readonly activateAtMs: number } | null = null;
  /** Told once each. */
  #missed: Cycle | null = null;
  #unsure: Cycle | null = null;
  #lastActivation: Activation | null = null;
  #exposing = false;
  /** Not told yet. */
  #doubtedMs = 0;
  /** The data server's time when it was first heard: what was active before is no activation of this process. */
  #heardSinceMs = Infinity;
  #failureTold = false;
  #nextRequest = 1;

  constructor(config: CycleCoreConfig) {
    this.#random = config.random;
    this.#maxErrorMs = config.maxClockErrorMs;
    this.#time = new RemoteTime(config.clock, config.maxClockErrorMs);
  }

  step(input: CycleInput, nowMs: number): readonly CycleEffect[] {
    this.#effects = [];
    if (this.#broken === null) {
      this.#take(input, nowMs);
      this.#tellDoubt();
      this.#activate(nowMs);
      this.#fetch(nowMs);
      this.#ask(nowMs);
    }
    return this.#effects;
  }

  /** As the input `suspended`, for who asks for a view first: nothing else happens before the next step. */
  doubt(byMs: number, nowMs: number): void {
    this.#time.doubt(byMs, nowMs);
    this.#doubtedMs += byMs;
    // A request that is under way was sent before: its answer can't end the doubt.
    this.#asking = null;
    this.#askAtMs = nowMs;
  }

  /** When it wants to be woken, monotonic milliseconds; `isInstant`: for an activation, where each millisecond counts. */
  nextWake(nowMs: number): { readonly atMs: number; readonly isInstant: boolean } {
    if (!this.#started || this.#broken !== null) return { atMs: Infinity, isInstant: false };
    const askMs = this.#asking === null ? this.#askAtMs : Infinity;
    const fetchMs = this.#fetching === null && this.#fetchAtMs > nowMs ? this.#fetchAtMs : Infinity;
    const instantMs = this.#instantWakeMs(nowMs);
    const atMs = Math.min(askMs, fetchMs, instantMs);
    return { atMs, isInstant: atMs === instantMs && atMs !== Infinity };
  }

  view(nowMs: number): CycleView {
    const reading = this.#time.at(nowMs);
    const table = this.#table;
    const { state, reason } = worthOf({
      broken: this.#broken,
      held: this.#held,
      table,
      silentMs: nowMs - this.#tableAsOfMs,
      expected: this.#expected(nowMs),
      latestMs: reading?.latestMs ?? Infinity,
    });
    const isArmed = table !== null && this.#isStagedFor(table) && this.#held.active !== table.cycle && reading !== null;
    return {
      state,
      reason,
      active: this.#held.active,
      staged: this.#held.staged,
      table,
      readMsAgo: table === null ? null : nowMs - this.#tableAsOfMs,
      armed: isArmed
        ? { cycle: table.cycle, activateAtMs: table.activateAtMs, inMs: table.activateAtMs - reading.bestMs }
        : null,
      clock: reading === null ? null : { nowMs: reading.bestMs, errorMs: reading.errorMs },
      retrieval: this.#retrieval,
      lastActivation: this.#lastActivation,
    };
  }

  #tellDoubt(): void {
    if (this.#doubtedMs === 0) return;
    this.#event('clock in doubt', 'warn', { byMs: Math.round(this.#doubtedMs) });
    this.#doubtedMs = 0;
  }

  #take(input: CycleInput, nowMs: number): void {
    switch (input.kind) {
      case 'start':
        this.#started = true;
        this.#held = input.held;
        this.#askAtMs = nowMs;
        return;
      case 'tick':
        return;
      case 'answered':
        this.#onAnswer(input.request, input.answer, input.stamps, nowMs);
        return;
      case 'failed':
        this.#onFailure(input.request, input.reason, nowMs);
        return;
      case 'stored':
        this.#onStored(input.request, input.held, nowMs);
        return;
      case 'exposed':
        this.#onExposed(input.held, input.atMs);
        return;
      case 'suspended':
        this.doubt(input.byMs, nowMs);
        return;
      case 'broken':
        this.#broken = input.reason;
        return;
      default:
        unreachable(input);
    }
  }

  // — answers ——————————————————————————————————————————————————————————————

  #onAnswer(request: RequestId, answer: CycleAnswer, stamps: CycleStamps, nowMs: number): void {
    const isAsked = this.#asking?.request === request;
    const isFetched = this.#fetching?.request === request && this.#fetching.arrived === null;
    if (!isAsked && !isFetched) return;
    const dropped = this.#time.sample(stamps);
    if (dropped !== null) this.#event('data server clock moved', 'warn', { reason: dropped });
    switch (answer.kind) {
      case 'table':
        if (isAsked) this.#onTable(answer.table, { rolled: answer.rolled, stamps, nowMs });
        return;
      case 'locked':
        if (isAsked) this.#onLocked(answer.holder, answer.untilMs, nowMs);
        return;
      case 'content':
        if (isFetched) this.#onContent(answer, nowMs);
        return;
      default:
        unreachable(answer);
    }
  }

  #onTable(
    table: CycleTable,
    { rolled, stamps, nowMs }: { readonly rolled: boolean; readonly stamps: CycleStamps; readonly nowMs: number },
  ): void {
    this.#asking = null;
    this.#askBackoff.reset();
    const before = this.#table;
    if (before !== null && (before.source !== table.source || table.cycle < before.cycle))
      this.#event('cycle went back', 'warn', { from: before.cycle, to: table.cycle });
    this.#table = table;
    this.#tableAsOfMs = stamps.sentMs;
    this.#mustRoll = stamps.remoteSentMs >= table.activateAtMs;
    const isNews = before === null || before.cycle !== table.cycle || before.activateAtMs !== table.activateAtMs;
    // Something else is wanted now: what failed before is no reason to wait.
    if (isNews) this.#fetchAtMs = -Infinity;
    if (this.#isHeard !== true) {
      this.#isHeard = true;
      this.#heardSinceMs = Math.min(this.#heardSinceMs, stamps.remoteSentMs);
      const { cycle, activateAtMs, intervalMs } = table;
      const clockErrorMs = rounded(this.#time.at(nowMs)?.errorMs ?? Infinity);
      this.#event('data server heard', 'info', { cycle, activateAtMs, intervalMs, clockErrorMs });
    }
    if (rolled) this.#event('rolled', 'info', { cycle: table.cycle, activateAtMs: table.activateAtMs });
    this.#askAtMs = this.#nextAskMs(table, nowMs);
    this.#arm(nowMs);
  }

  #onLocked(holder: string, untilMs: number, nowMs: number): void {
    this.#asking = null;
    this.#event('roll locked', 'info', { holder, untilMs });
    const overMs = this.#time.localMsOf(untilMs, nowMs) ?? Infinity;
    const retryMs = nowMs + this.#askBackoff.nextMs();
    this.#askAtMs = Math.max(nowMs, Math.min(retryMs, overMs)) + bounds.rollAgainMs;
  }

  #onContent(content: Extract<CycleAnswer, { kind: 'content' }>, nowMs: number): void {
    const fetching = this.#fetching;
    if (fetching === null) return;
    const { of, since } = fetching;
    const isBuiltOn = content.from === null || (content.from === since && content.source === fetching.source);
    if (!isBuiltOn) {
      const reason = `what changed since ${since ?? 'nothing'} was asked for, and what changed since ${content.from} came`;
      return this.#onFailure(fetching.request, reason, nowMs);
    }
    // The copy that it is built on has changed meanwhile: what was asked for leads from another content.
    const base = of === 'staged' ? this.#held.base : this.#held.active;
    if (content.from !== null && (content.from !== base || content.source !== this.#held.source)) {
      this.#fetching = null;
      this.#fetchAtMs = -Infinity;
      return;
    }
    // The data server's clock may be a little behind the one here: what is active there isn't yet what is wanted.
    if (of === 'active' && content.source === this.#held.source && content.cycle === this.#held.active) {
      this.#fetching = null;
      this.#fetchAtMs = nowMs + bounds.rollAgainMs;
      return;
    }
    fetching.arrived = content;
    this.#effects.push({ kind: 'store', request: fetching.request, of });
  }

  #onFailure(request: RequestId, reason: string, nowMs: number): void {
    if (this.#asking?.request === request) {
      this.#asking = null;
      this.#askAtMs = nowMs + this.#askBackoff.nextMs();
      if (this.#isHeard !== false) this.#event('data server unreached', 'warn', { reason });
      this.#isHeard = false;
    } else if (this.#fetching?.request === request) {
      if (!this.#failureTold) this.#event('retrieval failed', 'warn', { of: this.#fetching.of, reason });
      this.#failureTold = true;
      this.#fetching = null;
      this.#fetchAtMs = nowMs + this.#fetchBackoff.nextMs();
      // It may have failed because the table has gone on.
      if (this.#asking === null && this.#isHeard === true) this.#askAtMs = Math.min(this.#askAtMs, this.#fetchAtMs);
    }
  }

  // — what is stored and shown ————————————————————————————————————————————————————

  #onStored(request: RequestId, held: HeldCopies, nowMs: number): void {
    const fetching = this.#fetching;
    const content = fetching?.arrived ?? null;
    if (fetching === null || content === null || fetching.request !== request) return;
    const before = this.#held;
    this.#held = held;
    this.#fetching = null;
    this.#failureTold = false;
    const { cycle, from, changes } = content;
    // The table that is known doesn't name it: it has gone on meanwhile.
    const { of } = fetching;
    const known = of === 'staged' ? this.#table?.cycle : this.#expected(nowMs);
    if (cycle === known) {
      this.#fetchAtMs = -Infinity;
      this.#fetchBackoff.reset();
    } else {
      // However it answers, it isn't asked without a pause.
      this.#fetchAtMs = nowMs + this.#fetchBackoff.nextMs();
      if (this.#asking === null) this.#askAtMs = nowMs;
    }
    if (of === 'staged') return this.#onRetrieved({ cycle, from, changes }, { sentMs: fetching.sentMs, nowMs });
    this.#event('active taken', 'info', { cycle, from, changes });
    // Whoever showed something until now and comes to this only after its instant has activated late.
    const isOnlyLate = before.active !== null && before.source === content.source;
    if (isOnlyLate && content.activateAtMs !== null && content.activateAtMs >= this.#heardSinceMs)
      this.#activated({ cycle, activateAtMs: content.activateAtMs, atMs: nowMs, isLate: true });
  }

  #onRetrieved(
    { cycle, from, changes }: { readonly cycle: Cycle; readonly from: Cycle | null; readonly changes: number },
    { sentMs, nowMs }: { readonly sentMs: number; readonly nowMs: number },
  ): void {
    // Of the attempt that succeeded: how long the data server was away says nothing about how long a retrieval takes.
    const durationMs = rounded(nowMs - sentMs);
    const wantedMs = rounded(nowMs - (this.#retrieving?.sinceMs ?? sentMs));
    this.#retrieving = null;
    this.#retrieval = { cycle, durationMs, longestMs: Math.max(durationMs, this.#retrieval?.longestMs ?? 0) };
    this.#event('retrieved', 'info', { cycle, from, changes, durationMs, wantedMs });
    this.#effects.push({ kind: 'reportRetrieval', cycle, durationMs });
    const intervalMs = this.#table?.intervalMs ?? Infinity;
    if (durationMs >= intervalMs) this.#event('retrieval too long', 'warn', { cycle, durationMs, intervalMs });
    this.#arm(nowMs);
  }

  /** What is staged has an instant to wait for, or another one than before. */
  #arm(nowMs: number): void {
    const table = this.#table;
    const reading = this.#time.at(nowMs);
    if (table === null || reading === null || !this.#isStagedFor(table) || this.#held.active === table.cycle) return;
    const { cycle, activateAtMs } = table;
    if (this.#armed?.cycle === cycle && this.#armed.activateAtMs === activateAtMs) return;
    this.#armed = { cycle, activateAtMs };
    const inMs = rounded(activateAtMs - reading.bestMs);
    this.#event('armed', 'info', { cycle, activateAtMs, inMs, errorMs: rounded(reading.errorMs) });
  }

  /** Shows what is staged when its instant has come, or was missed: only what the table names, and never an older content. */
  #activate(nowMs: number): void {
    const table = this.#table;
    // What is being stored may replace what is staged.
    if (table === null || this.#held.source !== table.source || this.#fetching?.arrived || this.#exposing) return;
    const expected = this.#expected(nowMs);
    if (expected === null) return this.#tellUnsure(table, nowMs);
    if (this.#held.active === null || this.#held.active === expected) return;
    if (this.#held.staged === expected) {
      this.#exposing = true;
      this.#effects.push({ kind: 'expose', cycle: expected });
    } else if (expected === table.cycle && this.#missed !== expected) {
      this.#missed = expected;
      this.#event('activation missed', 'warn', { cycle: expected, activateAtMs: table.activateAtMs });
    }
  }

  #tellUnsure(table: CycleTable, nowMs: number): void {
    if (this.#passed(nowMs) !== 'perhaps' || !this.#isStagedFor(table)) return;
    if (this.#held.active === table.cycle || this.#unsure === table.cycle) return;
    this.#unsure = table.cycle;
    const errorMs = rounded(this.#time.at(nowMs)?.errorMs ?? Infinity);
    this.#event('clock unsure', 'warn', { cycle: table.cycle, errorMs, boundMs: this.#maxErrorMs });
  }

  #onExposed(held: HeldCopies, atMs: number): void {
    this.#exposing = false;
    this.#held = held;
    const cycle = held.active;
    if (cycle === null) return;
    const activateAtMs = this.#armed?.cycle === cycle ? this.#armed.activateAtMs : null;
    this.#activated({ cycle, activateAtMs, atMs, isLate: false });
  }

  #activated(what: {
    readonly cycle: Cycle;
    readonly activateAtMs: number | null;
    readonly atMs: number;
    readonly isLate: boolean;
  }): void {
    const { cycle, activateAtMs } = what;
    const reading = this.#time.at(what.atMs);
    if (reading === null) return;
    const afterMs = activateAtMs === null ? null : rounded(reading.bestMs - activateAtMs);
    const late = what.isLate || afterMs === null || afterMs > bounds.lateMs;
    const reachedMs = rounded(reading.bestMs);
    const errorMs = rounded(reading.errorMs);
    this.#lastActivation = { cycle, activateAtMs, reachedMs, errorMs, late };
    const fields = { cycle, activateAtMs, reachedMs, errorMs, afterMs };
    if (late) this.#event('activated late', 'warn', fields);
    else this.#event('activated', 'info', fields);
    this.#effects.push({ kind: 'reportActivation', activation: this.#lastActivation });
  }

  // — what is asked and fetched —————————————————————————————————————————————————

  #ask(nowMs: number): void {
    if (!this.#started || this.#asking !== null || nowMs < this.#askAtMs) return;
    const isDue = this.#mustRoll || this.#passed(nowMs) === 'after';
    this.#asking = { request: this.#request(), what: isDue ? 'roll' : 'table' };
    this.#effects.push({ kind: 'ask', ...this.#asking });
  }

  /** Often enough for the lease, more often before the instant, and once it has passed to roll. */
  #nextAskMs(table: CycleTable, nowMs: number): number {
    const spreadMs = this.#random.next() * Math.min(bounds.rollSpreadMs, table.intervalMs / bounds.rollSpreadShare);
    // A server that shows nothing yet doesn't wait for others to roll.
    if (this.#mustRoll) return nowMs + (this.#held.active === null ? 0 : spreadMs);
    const instantMs = this.#time.localMsOf(table.activateAtMs, nowMs) ?? Infinity;
    const leftMs = instantMs - nowMs;
    if (leftMs <= 0) return nowMs + bounds.rollAgainMs;
    const nearMs = leftMs > bounds.soonMs ? bounds.readNearMs : bounds.readSoonMs;
    const usualMs = leftMs > bounds.nearMs ? bounds.readEveryMs : nearMs;
    const everyMs = Math.max(bounds.readMinMs, Math.min(usualMs, table.intervalMs / bounds.readShare));
    return nowMs + everyMs > instantMs - bounds.quietMs ? instantMs + spreadMs : nowMs + everyMs;
  }

  #fetch(nowMs: number): void {
    // What is being shown changes what the next content is built on.
    if (this.#fetching !== null || this.#exposing || nowMs < this.#fetchAtMs) return;
    const wanted = this.#wanted(nowMs);
    if (wanted === null || this.#table === null) return;
    const { source, cycle } = this.#table;
    if (wanted.of === 'staged' && this.#retrieving?.cycle !== cycle) this.#retrieving = { cycle, sinceMs: nowMs };
    this.#fetching = { request: this.#request(), source, ...wanted, sentMs: nowMs, arrived: null };
    const { request, of, since } = this.#fetching;
    this.#effects.push({ kind: 'fetch', request, of, since, source });
  }

  /** What is to be shown first, and then what will be. */
  #wanted(nowMs: number): { readonly of: ContentKind; readonly since: Cycle | null } | null {
    const table = this.#table;
    if (table === null) return null;
    const { active, staged, base } = this.#held;
    const isSame = this.#held.source === table.source;
    if (!isSame || active === null) return { of: 'active', since: null };
    const expected = this.#expected(nowMs);
    if (expected !== null && active !== expected && staged !== expected) return { of: 'active', since: active };
    if (active === table.cycle || staged === table.cycle) return null;
    return { of: 'staged', since: base };
  }

  // — judgement ————————————————————————————————————————————————————————————

  #passed(nowMs: number): Passed {
    return this.#table === null ? 'unknown' : this.#time.passed(this.#table.activateAtMs, nowMs);
  }

  /** The content that the table wants shown now; null: the clock doesn't tell. */
  #expected(nowMs: number): Cycle | null {
    const passed = this.#passed(nowMs);
    if (this.#table === null || passed === 'unknown' || passed === 'perhaps') return null;
    if (passed === 'before' && this.#isJustActivated(this.#table, nowMs)) return this.#table.cycle;
    return passed === 'after' ? this.#table.cycle : this.#table.activeCycle;
  }

  /**
   * A better reading may put the clock back by as much as it was off when this copy activated. Only an instant that was moved
   * to later takes back what shows.
   */
  #isJustActivated(table: CycleTable, nowMs: number): boolean {
    if (this.#held.source !== table.source || this.#held.active !== table.cycle) return false;
    return (this.#time.at(nowMs)?.latestMs ?? Infinity) >= table.activateAtMs - 2 * this.#maxErrorMs;
  }

  #isStagedFor(table: CycleTable): boolean {
    return this.#held.source === table.source && this.#held.staged === table.cycle;
  }

  #instantWakeMs(nowMs: number): number {
    const table = this.#table;
    if (table === null || this.#held.active === null || this.#held.active === table.cycle) return Infinity;
    if (this.#passed(nowMs) === 'after') return Infinity;
    return this.#time.lookAgainMs(table.activateAtMs, nowMs);
  }

  #request(): RequestId {
    return this.#nextRequest++;
  }

  #event<Name extends keyof CycleCopyCoreEvents>(
    name: Name,
    level: CycleCopyCoreEvents[Name]['level'],
    fields: CycleCopyCoreEvents[Name]['fields'],
  ): void {
    this.#effects.push({ kind: 'event', name, level, fields });
  }
}

/** For people: microseconds are enough. */
function rounded(valueMs: number): number {
  return Math.round(valueMs * 1000) / 1000;
}
