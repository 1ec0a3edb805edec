import type { ErrorCode } from '../../shared/protocol/kernel/errors.js';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { EventOf } from '../../shared/protocol/kernel/events.js';
import type { DataSetId, Tip } from '../../shared/protocol/kernel/ids.js';
import { noEpoch, parseVersion, versionOf } from '../../shared/protocol/kernel/ids.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import type { Durability } from '../../shared/protocol/kernel/outcome.js';
import type { SlaveState } from '../../shared/protocol/wire/messages.js';
import type { Cancellable } from '../../shared/runtime/aborting.js';
import { callerAborted, refuseAborted, unlessAborted } from '../../shared/runtime/aborting.js';
import { ClockJumps } from '../../shared/runtime/group-clock.js';
import type { Node } from '../../shared/runtime/node.js';
import type { CallEnd } from '../../shared/runtime/node-calls.js';
import { Commands, Waiters } from '../../shared/runtime/node-commands.js';
import type { Machine } from '../../shared/runtime/node-driver.js';
import { Driver } from '../../shared/runtime/node-driver.js';
import { PacedReaders } from '../../shared/runtime/paced-readers.js';
import type { EventLog } from '../../shared/runtime/ports.js';
import type { ChangeIterator, ExposedChange, ReachedOptions, SlaveDataSet, SlaveDataSetOptions } from '../types.js';
import type { SlaveUserLayer } from '../user/contract.js';
import type { HaltCode, Showing, SlaveConfig, SlaveEffect, SlaveEvent, SlaveInput } from './core/io.js';
import type { SlaveRecovered } from './core/records.js';
import { recoverSlave } from './core/records.js';
import type { SlaveView } from './core/view.js';
import type { SlaveServiceEvents } from './events.js';
import { ExposedDeltas } from './exposed-deltas.js';
import type { KeepAside } from './slave-effects.js';
import { SlaveEffects } from './slave-effects.js';

export interface SlaveMachine extends Machine<SlaveInput, SlaveEffect> {
  view(nowMs: number): SlaveView;
  readonly backlogBytes: number;
  readonly showing: Showing | null;
}

/** What holds for all data sets of one slave. */
export interface SlaveSettings {
  readonly durability: Durability;
  readonly maxLeaseMs: number;
  /** Null: nowhere to keep a diverged copy; an event says so. */
  readonly keepAside: KeepAside | null;
}

export interface SlaveServiceParts {
  readonly node: Node;
  readonly dataSet: DataSetId;
  readonly layer: SlaveUserLayer;
  readonly options: SlaveDataSetOptions;
  readonly settings: SlaveSettings;
  readonly log: EventLog;
  readonly makeCore: (config: SlaveConfig, recovered: SlaveRecovered) => SlaveMachine;
  /** The data set is over: its name is free again. */
  readonly ended: () => void;
}

type CommandResult = Extract<SlaveEffect, { kind: 'settle' }>['result'];
type Phase = 'opening' | 'running' | 'closing' | 'ended';

const haltErrors: Readonly<Record<HaltCode, ErrorCode>> = {
  'name-taken': 'name-taken',
  'cloned-store': 'cloned-store',
  'store-failed': 'store-unusable',
  forgotten: 'refused-by-group',
  'group-full': 'refused-by-group',
};

/** The machine slept when the time of day ran ahead of the monotonic clock by more than this: no lease survives it (G12). */
const suspendedMs = limits.leaseMs / 4;

/** One data set at a slave: the core, what drives it, and what readers wait for. */
export class SlaveService implements SlaveDataSet {
  readonly name: string;
  readonly #parts: SlaveServiceParts;
  readonly #driver: Driver<SlaveInput, SlaveEffect>;
  readonly #effects: SlaveEffects;
  readonly #commands = new Commands<CommandResult>();
  readonly #reached = new Waiters<Tip>();
  readonly #changes = new PacedReaders<{ readonly tip: Tip }>(limits.changesBuffered);
  readonly deltas = new ExposedDeltas();
  readonly #opened: Promise<void>;
  #core: SlaveMachine | null = null;
  #phase: Phase = 'opening';
  #exposed: Tip | null = null;
  #halted: LockstepError | null = null;
  #closing: Promise<void> | null = null;
  #wallCheckedMs = 0;
  #wallAheadMs: number;
  readonly #clockJumps: ClockJumps;

  constructor(parts: SlaveServiceParts) {
    this.name = parts.dataSet;
    this.#parts = parts;
    this.#wallAheadMs = parts.node.ports.clock.wallMs() - parts.node.nowMs();
    this.#clockJumps = new ClockJumps(parts.node.ports.clock);
    this.#driver = new Driver<SlaveInput, SlaveEffect>(parts.node, parts.dataSet, {
      received: ({ from, epoch, message }) => ({ kind: 'received', from, epoch, message }),
      tick: { kind: 'tick' },
      before: (nowMs) => this.#firstInputs(nowMs),
      atInstant: (nowMs) => this.#showAt(nowMs),
      execute: (effect) => {
        this.#execute(effect);
      },
      settled: () => {
        this.#effects.settled();
      },
      failed: (error) => {
        this.#end(
          new LockstepError('closed', 'this node stopped for a bug of its own: see the cause', { cause: error }),
        );
      },
    });
    this.#effects = this.#makeEffects();
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
    return this.#exposed;
  }

  get state(): SlaveState {
    return this.view().state;
  }

  view(): SlaveView {
    if (this.#core === null) return openingView;
    // A reader may be the first to notice that the machine slept; it must not be told "current" (G12).
    const nowMs = this.#parts.node.nowMs();
    for (const input of this.#firstInputs(nowMs)) this.#driver.submit(input);
    return this.#core.view(nowMs);
  }

  async reached(version: number, options: ReachedOptions = {}): Promise<Tip> {
    if (parseVersion(version) === null)
      throw new LockstepError('bad-option', `version must be a whole number of at least 1, not ${version}`);
    this.#refuseWhenOver();
    if (this.#exposed !== null && this.#exposed.version >= version) return this.#exposed;
    const waiting = this.#reached.wait(
      (tip) => tip.version >= version,
      options.signal,
      () => callerAborted(options.signal),
    );
    const cancel = this.#expireAfter(options.timeoutMs, () => {
      waiting.fail(
        new LockstepError(
          'timed-out',
          `version ${version} isn't here yet; this copy is at ${versionOf(this.#exposed)}`,
        ),
      );
    });
    return waiting.result.finally(cancel);
  }

  changes(options: Cancellable = {}): ChangeIterator<ExposedChange> {
    this.#refuseWhenOver();
    return this.#changes.subscribe(options.signal);
  }

  async discard({ signal }: Cancellable = {}): Promise<void> {
    refuseAborted(signal);
    this.#refuseWhenOver();
    const { command, result } = this.#commands.open();
    this.#driver.submit({ kind: 'discard', command });
    const settled = await unlessAborted(result, signal);
    if (settled.kind === 'rejected') throw new LockstepError('bad-operation', settled.text);
  }

  async resolve(
    round: string,
    outcome: 'committed' | 'aborted',
    by: string,
    { signal }: Cancellable = {},
  ): Promise<void> {
    refuseAborted(signal);
    this.#refuseWhenOver();
    const { command, result } = this.#commands.open();
    const wallMs = this.#parts.node.ports.clock.wallMs();
    this.#driver.submit({ kind: 'resolve', command, round, outcome, by, wallMs });
    const settled = await unlessAborted(result, signal);
    if (settled.kind === 'rejected') throw new LockstepError('bad-operation', settled.text);
  }

  async unregister({ signal }: Cancellable = {}): Promise<void> {
    refuseAborted(signal);
    await unlessAborted(this.close(), signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Says goodbye and lets the name go; a prepared round stays on disk. The second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#phase === 'ended') return;
    const running = this.#core !== null;
    this.#phase = 'closing';
    if (running) {
      const { command, result } = this.#commands.open();
      this.#driver.submit({ kind: 'close', command });
      let cancel: () => void = () => undefined;
      // A core whose store or user layer hangs can't answer; closing goes on without it.
      const limit = new Promise<void>((resolve) => {
        cancel = this.#expireAfter(limits.callbackMs, resolve);
      });
      await Promise.race([result.catch(() => undefined), limit]);
      cancel();
    }
    this.#end(new LockstepError('closed', `the data set '${this.name}' was closed`));
  }

  #end(error: LockstepError): void {
    this.#phase = 'ended';
    this.#driver.end();
    this.#effects.abandon();
    this.#commands.cutAll(error);
    this.#reached.failAll(error);
    this.#changes.end();
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
    this.#exposed = end.value;
    this.deltas.begin(end.value);
    const core = this.#parts.makeCore(this.#config(), recoverSlave(this.#parts.node.ports.store, this.#parts.dataSet));
    this.#core = core;
    this.#driver.start(core, { kind: 'start', tip: end.value });
    return null;
  }

  #config(): SlaveConfig {
    const { node, dataSet, settings } = this.#parts;
    return {
      dataSet,
      node: node.self.node,
      incarnation: node.self.incarnation,
      seed: node.ports.random.below(0x7fff_ffff),
      durability: settings.durability,
      maxLeaseMs: settings.maxLeaseMs,
      windowBytes: node.ports.transport.receiveBufferBytes,
    };
  }

  #makeEffects(): SlaveEffects {
    const { node, dataSet, layer, options, settings } = this.#parts;
    return new SlaveEffects({
      node,
      dataSet,
      layer,
      callbackMs: options.callbackMs ?? limits.callbackMs,
      durable: settings.durability === 'disk',
      keepAside: settings.keepAside,
      submit: (input) => {
        this.#driver.submit(input);
      },
      enter: (work) => {
        this.#driver.enter(work);
      },
      record: (event) => {
        this.#record(event);
      },
      backlogBytes: () => this.#core?.backlogBytes ?? 0,
      tip: () => this.#exposed,
      exposed: (tip, delta) => {
        this.#exposed = tip;
        if (delta === null) this.deltas.begin(tip);
        else this.deltas.push(delta);
        this.#changes.push({ tip });
        this.#reached.offer(tip);
      },
    });
  }

  #execute(effect: SlaveEffect): void {
    switch (effect.kind) {
      case 'settle':
        this.#commands.settle(effect.command, effect.result);
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

  /** The copy stays readable; whoever waits for news is told that none will come. */
  #halt(code: HaltCode, text: string): void {
    const error = new LockstepError(haltErrors[code], text);
    this.#halted = error;
    this.#record({ name: 'halted', level: 'error', fields: { code, reason: text } });
    this.#commands.cutAll(error);
    this.#reached.failAll(error);
    this.#changes.end();
  }

  #refuseWhenOver(): void {
    if (this.#halted !== null)
      throw new LockstepError(this.#halted.code, this.#halted.message, { cause: this.#halted });
    if (this.#phase === 'closing' || this.#phase === 'ended')
      throw new LockstepError('closed', `the data set '${this.name}' is closed`);
  }

  /** True: readers see what was to show at this instant. */
  #showAt(nowMs: number): boolean {
    const showing = this.#core?.showing ?? null;
    return showing !== null && showing.atMs <= nowMs && this.#effects.show(showing.change);
  }

  /**
   * What the core hears before anything else: what readers see by now; and that it may have slept, and mustn't take for new what waited
   * meanwhile.
   */
  #firstInputs(nowMs: number): readonly SlaveInput[] {
    const shown = this.#effects.takeShown();
    const byMs = this.#clockJumps.takeMs();
    const slept = this.#wasSuspended(nowMs);
    if (!slept && byMs === 0) return shown;
    const inputs: SlaveInput[] = [...shown];
    if (slept) inputs.push({ kind: 'suspended' });
    if (byMs > 0) inputs.push({ kind: 'clockJumped', byMs });
    return inputs;
  }

  /** True once per sleep. Slow drift and a clock that is set back are no sleep. */
  #wasSuspended(nowMs: number): boolean {
    const gapMs = this.#parts.node.ports.clock.wallMs() - nowMs;
    // The base follows the gap only as fast as two clocks may drift apart, so that many short sleeps add up to a long one.
    const driftMs = (nowMs - this.#wallCheckedMs) * limits.clockRateError;
    const jumpedMs = gapMs - this.#wallAheadMs;
    const slept = jumpedMs > suspendedMs;
    this.#wallCheckedMs = nowMs;
    this.#wallAheadMs = slept || jumpedMs < 0 ? gapMs : this.#wallAheadMs + Math.min(jumpedMs, driftMs);
    return slept;
  }

  #expireAfter(timeoutMs: number | undefined, expired: () => void): () => void {
    if (timeoutMs === undefined) return () => undefined;
    const { clock } = this.#parts.node.ports;
    return clock.at(clock.monotonicMs() + timeoutMs, expired);
  }

  #record(event: SlaveEvent | EventOf<SlaveServiceEvents>): void {
    const { log } = this.#parts;
    if (log.wants?.(event.name, event.level) === false) return;
    const fields = { dataSet: this.name, node: this.#parts.node.self.node, ...event.fields };
    log.record({ name: event.name, level: event.level, fields });
  }
}

const openingView: SlaveView = {
  state: 'catching up',
  tip: null,
  heardOf: null,
  promised: noEpoch,
  master: null,
  leaseUntilMs: 0,
  welcomed: false,
  inDoubt: [],
  armed: null,
  resolved: [],
  behind: null,
  behindMs: null,
  lastVote: null,
  lastVeto: null,
  votes: { yes: 0, no: 0 },
  reason: 'opening',
  repairs: 0,
  snapshots: 0,
  resyncs: {},
  clock: null,
};

/** What a user layer says about itself is checked once, here. */
function isTip(value: unknown): value is Tip | null {
  if (value === null) return true;
  if (typeof value !== 'object') return false;
  const tip = value as Partial<Tip>;
  return parseVersion(tip.version) !== null && typeof tip.chain === 'string' && typeof tip.epoch?.number === 'number';
}
