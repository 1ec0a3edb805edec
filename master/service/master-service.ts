import { tracingChannel } from 'node:diagnostics_channel';
import type { ErrorCode } from '../../shared/protocol/kernel/errors.js';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { EventOf } from '../../shared/protocol/kernel/events.js';
import type { DataSetId, Tip } from '../../shared/protocol/kernel/ids.js';
import { epochKey, noEpoch, parseVersion, roundKey } from '../../shared/protocol/kernel/ids.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import type {
  Cancellation,
  Outcome,
  Rejection,
  Replication,
  ScheduledOutcome,
} from '../../shared/protocol/kernel/outcome.js';
import type { Cancellable } from '../../shared/runtime/aborting.js';
import { callerAborted, refuseAborted, unlessAborted } from '../../shared/runtime/aborting.js';
import { ClockJumps } from '../../shared/runtime/group-clock.js';
import type { Node } from '../../shared/runtime/node.js';
import type { CallEnd } from '../../shared/runtime/node-calls.js';
import { Commands, Waiters } from '../../shared/runtime/node-commands.js';
import type { Machine } from '../../shared/runtime/node-driver.js';
import { Driver } from '../../shared/runtime/node-driver.js';
import { Wakers, type DeltaSource } from '../../shared/runtime/delta-source.js';
import type { EventLog } from '../../shared/runtime/ports.js';
import type {
  CancelActivationOptions,
  DataSetDefaults,
  Instant,
  MasterDataSet,
  ReplicateOptions,
  ReplicateTrace,
} from '../types.js';
import type { MasterUserLayer } from '../user/contract.js';
import type { HaltCode, MasterConfig, MasterEffect, MasterEvent, MasterInput } from './core/io.js';
import type { MasterRecovered } from './core/records.js';
import { recoverMaster } from './core/records.js';
import type { LoggedRound } from './core/round-log.js';
import type { ArmedView, MemberView, MasterView, RoundAccount } from './core/view.js';
import type { MasterSettings } from './master-config.js';
import { masterConfig } from './master-config.js';
import type { MasterServiceEvents } from './events.js';
import { MasterEffects } from './master-effects.js';

export interface MasterMachine extends Machine<MasterInput, MasterEffect> {
  view(nowMs: number): MasterView;
  armed(nowMs: number): ArmedView | null;
  rounds(limit: number): readonly LoggedRound[];
  readonly committed: Omit<DeltaSource, 'breaks' | 'listen'>;
}

export interface MasterServiceParts {
  readonly node: Node;
  readonly dataSet: DataSetId;
  readonly layer: MasterUserLayer;
  readonly defaults: DataSetDefaults;
  readonly settings: MasterSettings;
  readonly log: EventLog;
  readonly makeCore: (config: MasterConfig, recovered: MasterRecovered) => MasterMachine;
  /** The data set is over: its name is free again. */
  readonly ended: () => void;
  /** A replication ended. */
  readonly settled?: (outcome: ScheduledOutcome) => void;
}

type CommandResult = Extract<MasterEffect, { kind: 'settle' }>['result'];
type Phase = 'opening' | 'running' | 'closing' | 'ended';

const haltErrors: Readonly<Record<HaltCode, ErrorCode>> = {
  'refused-to-lead': 'refused-by-group',
  'stepped-down': 'stepped-down',
  'store-failed': 'store-unusable',
  'user-layer-failed': 'user-layer-failed',
};

/** For who traces requests: each replication, from its start to its outcome. */
const replicateTraces = tracingChannel<unknown, ReplicateTrace>('lockstep:master:replicate');

/**
 * One data set at the master: the core, what drives it, and the commands of the host. It interprets nothing of the
 * data, and decides nothing that the core decides.
 */
export class MasterService implements MasterDataSet {
  readonly name: string;
  readonly #parts: MasterServiceParts;
  readonly #driver: Driver<MasterInput, MasterEffect>;
  readonly #effects: MasterEffects;
  readonly #commands = new Commands<CommandResult>();
  readonly #leading = new Waiters<MasterView>();
  readonly #opened: Promise<void>;
  readonly #committed = new Wakers();
  #core: MasterMachine | null = null;
  #phase: Phase = 'opening';
  #halted: LockstepError | null = null;
  #closing: Promise<void> | null = null;
  /** In this turn of the core: what was sent lingers. */
  #toldOutcome = false;
  readonly #clockJumps: ClockJumps;

  constructor(parts: MasterServiceParts) {
    this.name = parts.dataSet;
    this.#parts = parts;
    this.#clockJumps = new ClockJumps(parts.node.ports.clock);
    this.#driver = new Driver<MasterInput, MasterEffect>(parts.node, parts.dataSet, {
      received: ({ from, epoch, message }) => ({ kind: 'received', from, epoch, message }),
      tick: { kind: 'tick' },
      before: () => {
        const byMs = this.#clockJumps.takeMs();
        return byMs === 0 ? [] : [{ kind: 'clockJumped', byMs }];
      },
      execute: (effect) => {
        this.#execute(effect);
      },
      settled: (nowMs) => {
        if (!this.#toldOutcome) this.#effects.releaseCommit();
        this.#toldOutcome = false;
        this.#offerLeading(nowMs);
      },
      failed: (error) => {
        this.#end(
          new LockstepError('closed', 'this node stopped for a bug of its own: see the cause', { cause: error }),
        );
      },
    });
    this.#effects = new MasterEffects({
      node: parts.node,
      dataSet: parts.dataSet,
      layer: parts.layer,
      callbackMs: parts.defaults.callbackMs ?? limits.callbackMs,
      submit: (input) => {
        this.#driver.submit(input);
      },
      enter: (work) => {
        this.#driver.enter(work);
      },
      record: (event) => {
        this.#record(event);
      },
      committed: () => {
        this.#committed.wake();
      },
    });
    this.#opened = this.#open();
    // Who registers waits for `opened`; who doesn't is told by the event.
    this.#opened.catch(() => undefined);
  }

  /** Settles when the user layer answered `open` and the core runs; rejects with `user-layer-failed`. */
  get opened(): Promise<void> {
    return this.#opened;
  }

  /** True when nothing of it is left: closed, or never opened. */
  get over(): boolean {
    return this.#phase === 'ended';
  }

  get tip(): Tip | null {
    return this.view().tip;
  }

  view(): MasterView {
    return this.#core === null ? openingView : this.#core.view(this.#parts.node.nowMs());
  }

  get deltas(): DeltaSource {
    const committed = (): MasterMachine['committed'] => this.#core?.committed ?? nothingCommitted;
    return {
      get tip() {
        return committed().tip;
      },
      get oldestVersion() {
        return committed().oldestVersion;
      },
      breaks: 0,
      after: (version, count) => committed().after(version, count),
      tipAt: (version) => committed().tipAt(version),
      listen: (wake) => this.#committed.listen(wake),
    };
  }

  members(): readonly MemberView[] {
    return this.view().members;
  }

  rounds(limit: number = limits.loggedRounds): readonly RoundAccount[] {
    if (!Number.isInteger(limit) || limit < 1)
      throw new LockstepError('bad-option', `limit must be a whole number of at least 1, not ${limit}`);
    const { node } = this.#parts;
    const epochMs = node.ports.clock.wallMs() - node.nowMs();
    return (this.#core?.rounds(limit) ?? []).map((round) => roundAccount(round, epochMs));
  }

  async leading(options: Cancellable = {}): Promise<void> {
    this.#refuseWhenOver();
    const waiting = this.#leading.wait(
      (view) => view.phase === 'leading',
      options.signal,
      () => callerAborted(options.signal),
    );
    this.#offerLeading(this.#parts.node.nowMs());
    await waiting.result;
  }

  replicate(options: ReplicateOptions & { readonly activateAt?: undefined }): Promise<Outcome>;
  replicate(options: ReplicateOptions): Promise<ScheduledOutcome>;
  replicate(options: ReplicateOptions): Promise<ScheduledOutcome> {
    if (!replicateTraces.hasSubscribers) return this.#replicate(options);
    const { version, phases = this.#parts.defaults.phases ?? 'two' } = options;
    return replicateTraces.tracePromise(() => this.#replicate(options), { dataSet: this.name, version, phases });
  }

  async #replicate(options: ReplicateOptions): Promise<ScheduledOutcome> {
    const replication = this.#replication(options);
    refuseAborted(options.signal);
    this.#refuseWhenOver();
    const startedMs = this.#parts.node.nowMs();
    // Cut off by a halt, nobody here knows how it ended: the record may be on disk.
    const { command, result } = this.#commands.open(({ message }) => ({
      kind: 'unknown',
      reason: message,
      durationMs: this.#parts.node.nowMs() - startedMs,
    }));
    const cancel = (): void => {
      this.#driver.submit({ kind: 'cancel', command });
    };
    options.signal?.addEventListener('abort', cancel, { once: true });
    this.#driver.submit({ kind: 'replicate', command, replication });
    try {
      return outcomeOf(await result);
    } finally {
      options.signal?.removeEventListener('abort', cancel);
    }
  }

  async rollBack(version: number, { signal }: Cancellable = {}): Promise<void> {
    refuseAborted(signal);
    this.#refuseWhenOver();
    const { command, result } = this.#commands.open();
    this.#driver.submit({ kind: 'rollBack', command, version });
    refuseRejection(await unlessAborted(result, signal));
  }

  get armed(): ArmedView | null {
    return this.#core?.armed(this.#parts.node.nowMs()) ?? null;
  }

  async cancelActivation(version: number, options: CancelActivationOptions = {}): Promise<Cancellation> {
    const { signal, timeoutMs = limits.roundTimeoutMs } = options;
    checkVersion('version', version);
    if (!(timeoutMs > 0)) throw new LockstepError('bad-option', `timeoutMs must be greater than 0, not ${timeoutMs}`);
    refuseAborted(signal);
    this.#refuseWhenOver();
    const { command, result } = this.#commands.open();
    this.#driver.submit({ kind: 'cancelActivation', command, version, timeoutMs });
    const settled = await unlessAborted(result, signal);
    refuseRejection(settled);
    if (settled.kind === 'cancelled' || settled.kind === 'stands') return settled;
    throw new LockstepError('closed', 'the cancellation ended without an outcome');
  }

  async forget(node: string, { signal }: Cancellable = {}): Promise<void> {
    refuseAborted(signal);
    this.#refuseWhenOver();
    const { command, result } = this.#commands.open();
    this.#driver.submit({ kind: 'forget', command, node });
    refuseRejection(await unlessAborted(result, signal));
  }

  async unregister({ signal }: Cancellable = {}): Promise<void> {
    refuseAborted(signal);
    await unlessAborted(this.close('unregistered'), signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close('unregistered');
  }

  /** Settles what is under way, says goodbye, and lets the name go. The second call waits for the first. */
  close(reason: 'closed' | 'unregistered'): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  async #close(reason: 'closed' | 'unregistered'): Promise<void> {
    if (this.#phase === 'ended') return;
    const running = this.#core !== null;
    this.#phase = 'closing';
    if (running) {
      // Rounds get time to end by themselves. Then they are aborted, which their callers and voters are told.
      if (!(await this.#closeCore(reason))) await this.#closeCore(reason);
    }
    this.#end(new LockstepError('closed', `the data set '${this.name}' was ${reason}`));
  }

  /** False: it isn't done in time. A core whose store or user layer hangs can't answer; closing goes on without it. */
  async #closeCore(reason: 'closed' | 'unregistered'): Promise<boolean> {
    const { command, result } = this.#commands.open();
    this.#driver.submit({ kind: 'close', command, reason });
    const { clock } = this.#parts.node.ports;
    let cancel: () => void = () => undefined;
    const limit = new Promise<false>((resolve) => {
      cancel = clock.at(clock.monotonicMs() + limits.callbackMs / 2, () => {
        resolve(false);
      });
    });
    const ended = result.then(
      () => true,
      () => true,
    );
    const inTime = await Promise.race([ended, limit]);
    cancel();
    return inTime;
  }

  #end(error: LockstepError): void {
    this.#phase = 'ended';
    this.#driver.end();
    this.#effects.abandon();
    this.#commands.cutAll(error);
    this.#leading.failAll(error);
    this.#parts.ended();
  }

  #open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#parts.node.enter(() => {
        this.#effects.open((end) => {
          const failure = this.#openWith(end);
          if (failure === null) resolve();
          else reject(failure);
        });
      });
    });
  }

  #openWith(end: CallEnd<Tip | null>): LockstepError | null {
    if (this.#phase !== 'opening')
      return new LockstepError('closed', `the data set '${this.name}' was closed while it opened`);
    if (!end.ok || !isTip(end.value)) {
      const reason = end.ok ? 'open returned no tip' : end.reason;
      const error = new LockstepError(
        'user-layer-failed',
        `the user layer of '${this.name}' can't be opened: ${reason}`,
      );
      this.#record({ name: 'open-failed', level: 'error', fields: { reason } });
      this.#end(error);
      return error;
    }
    this.#phase = 'running';
    const core = this.#parts.makeCore(
      masterConfig(this.#parts),
      recoverMaster(this.#parts.node.ports.store, this.#parts.dataSet),
    );
    this.#core = core;
    this.#driver.start(core, { kind: 'start', tip: end.value });
    return null;
  }

  #execute(effect: MasterEffect): void {
    switch (effect.kind) {
      case 'settle':
        this.#commands.settle(effect.command, effect.result);
        if (isOutcome(effect.result)) this.#parts.settled?.(effect.result);
        this.#toldOutcome = true;
        this.#parts.node.linger(() => {
          this.#effects.releaseCommit();
        });
        return;
      case 'event':
        this.#record(effect.event);
        return;
      case 'halt':
        this.#halt(effect.code, effect.text);
        return;
      default:
        this.#effects.execute(effect);
    }
  }

  /** The core goes on answering the group; the host's commands end here, each with a typed error. */
  #halt(code: HaltCode, text: string): void {
    const error = new LockstepError(haltErrors[code], text);
    this.#halted = error;
    this.#record({ name: 'halted', level: 'error', fields: { code, reason: text } });
    this.#commands.cutAll(error);
    this.#leading.failAll(error);
  }

  #offerLeading(nowMs: number): void {
    if (this.#leading.size > 0 && this.#core !== null) this.#leading.offer(this.#core.view(nowMs));
  }

  #refuseWhenOver(): void {
    if (this.#halted !== null)
      throw new LockstepError(this.#halted.code, this.#halted.message, { cause: this.#halted });
    if (this.#phase === 'closing' || this.#phase === 'ended')
      throw new LockstepError('closed', `the data set '${this.name}' is closed`);
  }

  #replication(options: ReplicateOptions): Replication {
    const { defaults } = this.#parts;
    checkVersion('version', options.version);
    if (options.prior !== undefined && options.prior !== 0) checkVersion('prior', options.prior);
    const timeoutMs = options.timeoutMs ?? defaults.timeoutMs ?? limits.roundTimeoutMs;
    if (!(timeoutMs > 0)) throw new LockstepError('bad-option', `timeoutMs must be greater than 0, not ${timeoutMs}`);
    const voters = options.voters ?? defaults.voters ?? 'live';
    if (typeof voters === 'number' && !(Number.isInteger(voters) && voters >= 0)) {
      throw new LockstepError('bad-option', `voters must be 'all', 'live' or a whole number, not ${voters}`);
    }
    return {
      version: options.version,
      prior: options.prior,
      delta: options.delta,
      // Only a vote can schedule, so one is implied.
      phases: options.activateAt === undefined ? (options.phases ?? defaults.phases ?? 'two') : 'two',
      timeoutMs,
      voters,
      content: options.content ?? defaults.content ?? 'auto',
      commitBy: options.commitBy ?? defaults.commitBy ?? 'multicast',
      abortBy: options.abortBy ?? defaults.abortBy ?? 'multicast',
      wait: options.wait ?? 'decided',
      operations: options.operations,
      activateAtMs:
        options.activateAt === undefined ? undefined : this.#activateAtMs(options.activateAt, options.phases),
    };
  }

  #activateAtMs(activateAt: Instant, phases: ReplicateOptions['phases']): number {
    const { settings } = this.#parts;
    if (phases === 'one')
      throw new LockstepError('bad-option', "activateAt needs phases 'two': all have to agree on an instant before it");
    if (settings.durability !== 'disk')
      throw new LockstepError(
        'bad-option',
        "activateAt needs durability 'disk': what is armed has to survive a restart",
      );
    return this.instantOf(activateAt);
  }

  instantOf(instant: Instant): number {
    const { node, settings } = this.#parts;
    const atMs = instantMs(instant, node.nowMs() + settings.groupOffsetMs);
    if (Number.isFinite(atMs)) return Math.ceil(atMs);
    throw new LockstepError(
      'bad-option',
      'activateAt must be a valid date, Unix time in milliseconds, or { inMs } with milliseconds from now',
    );
  }

  #record(event: MasterEvent | EventOf<MasterServiceEvents>): void {
    const { log } = this.#parts;
    if (log.wants?.(event.name, event.level) === false) return;
    const fields = { dataSet: this.name, node: this.#parts.node.self.node, ...event.fields };
    log.record({ name: event.name, level: event.level, fields });
  }
}

const openingView: MasterView = {
  phase: 'opening',
  epoch: noEpoch,
  tip: null,
  mayCommit: false,
  queued: 0,
  openRounds: [],
  armed: null,
  activation: null,
  members: [],
  historyBytes: 0,
  oldestDelta: null,
};

const nothingCommitted: MasterMachine['committed'] = {
  tip: null,
  oldestVersion: null,
  after: () => [],
  tipAt: () => null,
};

function checkVersion(option: string, value: number): void {
  if (parseVersion(value) !== null) return;
  throw new LockstepError('bad-option', `${option} must be a whole number of at least 1, not ${value}`);
}

function instantMs(instant: Instant, groupNowMs: number): number {
  if (typeof instant === 'number') return instant;
  return instant instanceof Date ? instant.getTime() : groupNowMs + instant.inMs;
}

function isOutcome(result: CommandResult): result is ScheduledOutcome {
  return ['committed', 'aborted', 'armed', 'unknown'].includes(result.kind);
}

function outcomeOf(result: CommandResult): ScheduledOutcome {
  refuseRejection(result);
  if (!isOutcome(result)) throw new LockstepError('closed', 'the replication ended without an outcome');
  return result;
}

function refuseRejection(result: CommandResult): asserts result is Exclude<CommandResult, Rejection> {
  if (result.kind !== 'rejected') return;
  const { earliestAtMs, latestAtMs } = result;
  throw new LockstepError(result.code, result.text, { earliestAtMs, latestAtMs });
}

/** `epochMs`: what the node's clock has to be added to for Unix time. */
function roundAccount(round: LoggedRound, epochMs: number): RoundAccount {
  const { epoch, number, startedMs, decidedMs, exposedMs, ...same } = round;
  return {
    ...same,
    round: number === null ? `${epochKey(epoch)}.v${round.version}` : roundKey({ epoch, number }),
    startedAtMs: epochMs + startedMs,
    decidedMs: decidedMs === null ? null : decidedMs - startedMs,
    exposedMs: exposedMs === null ? null : exposedMs - startedMs,
  };
}

/** What a user layer says about itself is checked once, here: a wrong tip would poison the chain. */
function isTip(value: unknown): value is Tip | null {
  if (value === null) return true;
  if (typeof value !== 'object' || value === undefined) return false;
  const tip = value as Partial<Tip>;
  return parseVersion(tip.version) !== null && typeof tip.chain === 'string' && typeof tip.epoch?.number === 'number';
}
