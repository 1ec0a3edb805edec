import { errorText } from '../../shared/protocol/kernel/errors.js';
import type { EventOf } from '../../shared/protocol/kernel/events.js';
import type { DataSetId, Delta, Peer, Tip } from '../../shared/protocol/kernel/ids.js';
import { versionOf } from '../../shared/protocol/kernel/ids.js';
import { broken, unreachable } from '../../shared/protocol/kernel/invariant.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import type { StoreOperation } from '../../shared/protocol/kernel/store.js';
import { applyOperations } from '../../shared/protocol/kernel/store.js';
import { DeltaStreamDecoder } from '../../shared/runtime/bulk-deltas.js';
import type { Node } from '../../shared/runtime/node.js';
import { fetchStream, offerStream, withPort } from '../../shared/runtime/node-bulk.js';
import type { CallEnd } from '../../shared/runtime/node-calls.js';
import { UserCalls } from '../../shared/runtime/node-calls.js';
import { withProgress } from '../../shared/runtime/transfer-progress.js';
import type { PrepareAnswer, SlaveUserLayer } from '../user/contract.js';
import type { SlaveEffect, SlaveInput, Token, UserAnswer } from './core/io.js';
import type { SlaveServiceEvents } from './events.js';

type Of<Kind extends SlaveEffect['kind']> = Extract<SlaveEffect, { kind: Kind }>;
type SharedLayer = NonNullable<SlaveUserLayer['shared']>;
type Failure = Extract<UserAnswer, { kind: 'failed' }>;

interface Shown {
  readonly to: Tip;
  readonly operations: readonly StoreOperation[];
  readonly atMs: number;
}

const nothing: readonly SlaveInput[] = [];

/** Puts the old copy of a diverged slave where an operator finds it, before a snapshot replaces it. */
export type KeepAside = (
  copy: { readonly dataSet: DataSetId; readonly version: number },
  chunks: AsyncIterable<Uint8Array>,
) => Promise<void>;

export interface SlaveEffectsParts {
  readonly node: Node;
  readonly dataSet: DataSetId;
  readonly layer: SlaveUserLayer;
  readonly callbackMs: number;
  /** Whether what follows an install is to be on disk. */
  readonly durable: boolean;
  readonly keepAside: KeepAside | null;
  readonly submit: (input: SlaveInput) => void;
  readonly enter: (work: () => void) => void;
  readonly record: (event: EventOf<SlaveServiceEvents>) => void;
  /** Deltas that wait in the core, bytes. */
  readonly backlogBytes: () => number;
  /** What this copy exposes now, and from now on; `by` is null when a snapshot brought it. */
  readonly tip: () => Tip | null;
  readonly exposed: (tip: Tip, by: Delta | null) => void;
}

/** A stream of deltas waits while the core holds more than this: a fast sender must not fill a slow slave (G10). */
const streamBacklogBytes = limits.maxPendingBytes / 4;

/** Does what the slave's core asks of the machine and of the user layer, and brings the answers back as inputs. */
export class SlaveEffects {
  readonly #parts: SlaveEffectsParts;
  readonly #calls: UserCalls;
  readonly #fetches = new Set<AbortController>();
  #roomWaiters: (() => void)[] = [];
  /** A scheduled change that readers see since its instant, and that nothing has followed from yet. */
  #shown: Shown | null = null;
  #isToldOfShown = false;
  /** Of a `prepare` that answered at once, so that its signal can't have been used: making one costs microseconds. */
  #spareController: AbortController | null = null;

  constructor(parts: SlaveEffectsParts) {
    this.#parts = parts;
    this.#calls = new UserCalls(parts.node.ports.clock, parts.enter);
  }

  /** The durable truth of the user layer; the first of its calls. */
  open(opened: (end: CallEnd<Tip | null>) => void): void {
    const { layer, callbackMs } = this.#parts;
    this.#calls.run({ name: 'open', limitMs: callbackMs, call: () => layer.open() }, opened);
  }

  /** Nothing that is under way is worth its end any more. */
  abandon(): void {
    for (const controller of this.#fetches) controller.abort(new Error('the data set was closed'));
    this.#releaseRoom();
  }

  /** The core took its inputs: a stream that waited for room may go on. */
  settled(): void {
    if (this.#roomWaiters.length > 0 && this.#hasRoom()) this.#releaseRoom();
  }

  execute(effect: Exclude<SlaveEffect, { kind: 'settle' | 'event' | 'halt' }>): void {
    switch (effect.kind) {
      case 'send':
        if (effect.gathers === true) this.#parts.node.gather();
        this.#parts.node.send({
          to: effect.to,
          dataSet: this.#parts.dataSet,
          epoch: effect.epoch,
          message: effect.message,
        });
        return;
      case 'persist':
        this.#persist(effect);
        return;
      case 'callUser':
        this.#callUser(effect);
        return;
      case 'commitUser':
        if (this.#parts.layer.shared === undefined) this.#commitAlone(effect);
        else this.#commitShared(effect, this.#parts.layer.shared);
        return;
      case 'fetchBulk':
        this.#fetchBulk(effect);
        return;
      case 'offerBulk':
        this.#offerBulk(effect);
        return;
      default:
        unreachable(effect);
    }
  }

  #persist(effect: Of<'persist'>): void {
    if (!effect.durable && effect.operations.length === 0) {
      this.#parts.submit({ kind: 'persisted', token: effect.token, error: null }); // nothing is to be written
      return;
    }
    this.#write(effect.operations, effect.durable, (error) => {
      this.#parts.submit({ kind: 'persisted', token: effect.token, error });
    });
  }

  #callUser({ token, call }: Of<'callUser'>): void {
    const { layer, callbackMs } = this.#parts;
    this.#beforeCall(call.name);
    if (call.name === 'prepare') {
      const controller = this.#spareController ?? new AbortController();
      this.#spareController = null;
      let returned = false;
      const user = {
        name: 'prepare',
        limitMs: callbackMs,
        call: () => layer.prepare(call.change, controller.signal),
        expired: (): void => {
          controller.abort(new Error(`prepare took longer than ${callbackMs} ms`));
        },
      };
      this.#calls.run<PrepareAnswer>(user, (end) => {
        if (!returned) this.#spareController = controller;
        this.#answer(token, end.ok ? prepareAnswer(end.value) : failure(end));
      });
      returned = true;
      return;
    }
    const abort = (): void | Promise<void> => layer.abort(call.to, call.why);
    this.#calls.run({ name: 'abort', limitMs: callbackMs, call: abort }, (end) => {
      this.#answer(token, end.ok ? { kind: 'done' } : failure(end));
    });
  }

  /** G4: data, tip and the service's own record in one transaction; then readers see it. */
  #commitShared(effect: Of<'commitUser'>, shared: SharedLayer): void {
    this.#beforeCall('commit');
    if (effect.activates) {
      this.#activateShared(effect, shared);
      return;
    }
    const collected = this.#collect(effect.change, shared);
    if ('reason' in collected) {
      this.#answer(effect.token, collected);
      return;
    }
    const operations = [...effect.operations, ...collected];
    if (!effect.durable && operations.length === 0) {
      this.#answer(effect.token, this.#expose(effect.change, shared)); // `durability: memory` keeps nothing on disk
      return;
    }
    this.#write(operations, effect.durable, (error) => {
      this.#answer(
        effect.token,
        error === null ? this.#expose(effect.change, shared) : { kind: 'failed', reason: error, store: true },
      );
    });
  }

  /** What the layer writes: before the transaction begins, so that a throw spoils nothing. */
  #collect(change: Delta, shared: SharedLayer): readonly StoreOperation[] | Failure {
    const operations: StoreOperation[] = [];
    try {
      shared.write(change, {
        put: (key, value) => operations.push({ kind: 'put', key, value }),
        remove: (key) => operations.push({ kind: 'remove', key }),
      });
    } catch (error) {
      return { kind: 'failed', reason: `write threw: ${errorText(error)}` };
    }
    return operations;
  }

  /**
   * The instant has come for what is durable already, as prepared and armed: readers see it before it is written. A crash in
   * between leaves the arming on disk, which does it again.
   */
  #activateShared(effect: Of<'commitUser'>, shared: SharedLayer): void {
    const before = this.#shown;
    const shown = before ?? this.#showNow(effect.change, shared);
    this.#shown = null;
    if ('reason' in shown) {
      this.#answer(effect.token, shown);
      return;
    }
    this.#parts.submit({ kind: 'exposed', token: effect.token, atMs: shown.atMs });
    const operations = [...effect.operations, ...shown.operations];
    const write = (): void => {
      this.#write(operations, effect.durable, (error) => {
        this.#answer(effect.token, error === null ? { kind: 'done' } : { kind: 'failed', reason: error, store: true });
      });
    };
    // A packet may bring the core here before the rest is over. It isn't cut short; and one of an older reign is no occasion to write (G7).
    const { node, enter } = this.#parts;
    const writeMs = before === null ? -Infinity : before.atMs + limits.afterShowingMs;
    if (node.nowMs() >= writeMs) write();
    else
      node.ports.clock.at(writeMs, () => {
        enter(write);
      });
  }

  /**
   * Shows at once what the core allows to be shown at this instant: nothing else is done about it for `limits.afterShowingMs`. False: it can't be
   * done here, and the core is to find out.
   */
  show(change: Delta): boolean {
    const { layer, node, submit } = this.#parts;
    if (layer.shared === undefined || this.#calls.busy) return false;
    const shown = this.#showNow(change, layer.shared);
    if ('reason' in shown) return false;
    this.#shown = shown;
    this.#isToldOfShown = false;
    // Whatever comes next brings `takeShown` with it, before itself.
    node.ports.clock.at(shown.atMs + limits.afterShowingMs, () => {
      submit({ kind: 'tick' });
    });
    return true;
  }

  /** What readers see already: the core has to hear of it before it hears anything else. */
  takeShown(): readonly SlaveInput[] {
    if (this.#shown === null || this.#isToldOfShown) return nothing;
    this.#isToldOfShown = true;
    return [{ kind: 'shown', to: this.#shown.to }];
  }

  #showNow(change: Delta, shared: SharedLayer): Shown | Failure {
    const operations = this.#collect(change, shared);
    if ('reason' in operations) return operations;
    const exposed = this.#expose(change, shared);
    return exposed.kind === 'done' ? { to: change.to, operations, atMs: this.#parts.node.nowMs() } : exposed;
  }

  #expose(change: Delta, shared: SharedLayer): { readonly kind: 'done' } | Failure {
    try {
      shared.expose(change);
    } catch (error) {
      return { kind: 'failed', reason: `expose threw: ${errorText(error)}` };
    }
    this.#parts.exposed(change.to, change);
    return { kind: 'done' };
  }

  /** The layer's own write makes the change durable; the service's record follows it, and is moot when it is lost. */
  #commitAlone(effect: Of<'commitUser'>): void {
    const { layer, callbackMs } = this.#parts;
    this.#beforeCall('commit');
    this.#calls.run({ name: 'commit', limitMs: callbackMs, call: () => layer.commit(effect.change) }, (end) => {
      if (!end.ok) {
        this.#answer(effect.token, failure(end));
        return;
      }
      this.#parts.exposed(effect.change.to, effect.change);
      this.#follow(effect.operations, effect.durable);
      this.#answer(effect.token, { kind: 'done' });
    });
  }

  #follow(operations: readonly StoreOperation[], durable: boolean): void {
    if (operations.length === 0) return;
    this.#write(operations, durable, (error) => {
      if (error !== null) this.#parts.record({ name: 'record-not-written', level: 'error', fields: { reason: error } });
    });
  }

  #fetchBulk(effect: Of<'fetchBulk'>): void {
    const { node } = this.#parts;
    const address = node.addressOf(effect.from);
    if (address === null) {
      this.#transferred(effect.token, `the address of ${effect.from.node} is not known`);
      return;
    }
    const controller = new AbortController();
    this.#fetches.add(controller);
    const source = { bulk: node.ports.bulk, clock: node.ports.clock, controller };
    const fetched = fetchStream({ ...source, address: withPort(address, effect.port), token: effect.bulkToken });
    const { mode, to } = effect;
    const chunks = withProgress(fetched, node.ports.clock, (progress) => {
      const fields = { mode, version: to.version, ...progress };
      this.#parts.record({ name: 'transfer-progress', level: 'info', fields });
    });
    const ended = (error: string | null): void => {
      this.#fetches.delete(controller);
      if (error !== null) controller.abort(new Error(error));
      this.#afterTransfer(effect, error);
    };
    if (effect.mode === 'snapshot') this.#install(effect, chunks, ended);
    else this.#stream(effect.token, chunks, ended);
  }

  /** The operations are written after the data: a crash between them leaves a tip that says what is true. */
  #afterTransfer(effect: Of<'fetchBulk'>, error: string | null): void {
    if (error !== null || effect.operations.length === 0) {
      this.#transferred(effect.token, error);
      return;
    }
    this.#write(effect.operations, this.#parts.durable, (failed) => {
      this.#transferred(effect.token, failed);
    });
  }

  #install(effect: Of<'fetchBulk'>, chunks: AsyncIterable<Uint8Array>, ended: (error: string | null) => void): void {
    const { layer } = this.#parts;
    this.#beforeCall('install');
    const call = async (): Promise<void> => {
      if (effect.keepOld) await this.#keepOld();
      await layer.install(effect.to, chunks);
    };
    this.#calls.run({ name: 'install', limitMs: null, call }, (end) => {
      if (end.ok) this.#parts.exposed(effect.to, null);
      ended(end.ok ? null : end.reason);
    });
  }

  /** Without a way to keep the old copy the event is all that is left of it; a failing one stops the install. */
  async #keepOld(): Promise<void> {
    const { layer, keepAside, dataSet, record } = this.#parts;
    const tip = this.#parts.tip();
    if (tip === null) return;
    if (layer.snapshot === undefined || keepAside === null) {
      record({ name: 'old-copy-not-kept', level: 'warn', fields: { version: tip.version } });
      return;
    }
    await keepAside({ dataSet, version: versionOf(tip) }, layer.snapshot(tip));
    record({ name: 'old-copy-kept', level: 'warn', fields: { version: tip.version } });
  }

  #stream(token: Token, chunks: AsyncIterable<Uint8Array>, ended: (error: string | null) => void): void {
    this.#feed(token, chunks).then(
      () => {
        this.#parts.enter(() => {
          ended(null);
        });
      },
      (error: unknown) => {
        this.#parts.enter(() => {
          ended(errorText(error));
        });
      },
    );
  }

  async #feed(token: Token, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = new DeltaStreamDecoder();
    for await (const chunk of chunks) {
      const decoded = decoder.push(chunk);
      if (!decoded.ok) throw new Error(decoded.reason);
      for (const delta of decoded.deltas) {
        if (!this.#hasRoom()) await this.#room();
        this.#parts.submit({ kind: 'streamed', token, delta });
      }
    }
    if (!decoder.complete) throw new Error('the stream of deltas was cut');
  }

  #hasRoom(): boolean {
    return this.#parts.backlogBytes() <= streamBacklogBytes;
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#roomWaiters.push(resolve);
    });
  }

  #releaseRoom(): void {
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const go of waiters) go();
  }

  /** A master adopts this copy. The source is pinned at `at` here and now. */
  #offerBulk(effect: Of<'offerBulk'>): void {
    const { node, layer, dataSet, enter } = this.#parts;
    const ended = (error: Error | null): void => {
      enter(() => {
        this.#transferred(effect.token, error === null ? null : error.message);
      });
    };
    if (layer.snapshot === undefined) {
      ended(new Error('this user layer offers no snapshot'));
      return;
    }
    const token = node.ports.random.hex128();
    try {
      offerStream({ bulk: node.ports.bulk, token, chunks: layer.snapshot(effect.at), ended });
    } catch (error) {
      ended(new Error(`snapshot threw: ${errorText(error)}`));
      return;
    }
    this.#sendOffer(effect.to, effect, token, dataSet);
  }

  #sendOffer(to: Peer, effect: Of<'offerBulk'>, token: string, dataSet: DataSetId): void {
    const { node } = this.#parts;
    const port = node.ports.bulk.port;
    const message = {
      kind: 'bulk-offer',
      request: effect.request,
      mode: 'snapshot',
      from: null,
      to: effect.at,
      port,
      token,
    } as const;
    node.send({ to, dataSet, epoch: effect.epoch, message });
  }

  /** The core has one call of the user layer in flight at most; two would break the contract with the host. */
  #beforeCall(name: string): void {
    if (this.#calls.busy) broken(`${name} of data set ${this.#parts.dataSet} would overlap an earlier callback`);
    // A host's callback may take long: what was sent needn't wait for it. A ready-made layer's never does.
    if (this.#parts.layer.shared === undefined) this.#parts.node.flush();
  }

  #write(operations: readonly StoreOperation[], durable: boolean, done: (error: string | null) => void): void {
    this.#parts.node.ports.store.write(
      (transaction) => {
        applyOperations(transaction, operations);
      },
      { durable },
      (error) => {
        this.#parts.enter(() => {
          done(error === null ? null : error.message);
        });
      },
    );
  }

  #answer(token: Token, answer: UserAnswer): void {
    this.#parts.submit({ kind: 'answered', token, answer });
  }

  #transferred(token: Token, error: string | null): void {
    this.#parts.submit({ kind: 'transferred', token, error });
  }
}

function failure(end: { readonly reason: string; readonly late: boolean }): UserAnswer {
  return end.late ? { kind: 'failed', reason: end.reason, late: true } : { kind: 'failed', reason: end.reason };
}

/** What a host's callback returns is checked: a yes must be a yes. */
function prepareAnswer(answer: PrepareAnswer | undefined): UserAnswer {
  if (answer?.ok === true) return { kind: 'done' };
  if (answer?.ok === false && typeof answer.reason === 'string') {
    return { kind: 'refused', reason: answer.reason, refused: answer.refused ?? [] };
  }
  return { kind: 'failed', reason: 'prepare answered neither yes nor no' };
}
