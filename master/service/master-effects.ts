import type { DataSetId, Delta, Tip } from '../../shared/protocol/kernel/ids.js';
import { errorText } from '../../shared/protocol/kernel/errors.js';
import type { EventOf } from '../../shared/protocol/kernel/events.js';
import { unreachable } from '../../shared/protocol/kernel/invariant.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import type { StoreOperation } from '../../shared/protocol/kernel/store.js';
import { applyOperations } from '../../shared/protocol/kernel/store.js';
import { encodeDeltaStream } from '../../shared/runtime/bulk-deltas.js';
import type { Node } from '../../shared/runtime/node.js';
import { asError, fetchStream, offerStream, withPort } from '../../shared/runtime/node-bulk.js';
import { SharedStreams } from '../../shared/runtime/shared-streams.js';
import type { CallEnd } from '../../shared/runtime/node-calls.js';
import { UserCalls } from '../../shared/runtime/node-calls.js';
import type { MasterUserLayer } from '../user/contract.js';
import { saysCommitOf } from './core/delivery.js';
import type { MasterEffect, MasterInput, MasterUserCall, Token, UserAnswer } from './core/io.js';
import type { MasterServiceEvents } from './events.js';

type Of<Kind extends MasterEffect['kind']> = Extract<MasterEffect, { kind: Kind }>;

export interface MasterEffectsParts {
  readonly node: Node;
  readonly dataSet: DataSetId;
  readonly layer: MasterUserLayer;
  readonly callbackMs: number;
  readonly submit: (input: MasterInput) => void;
  readonly enter: (work: () => void) => void;
  readonly record: (event: EventOf<MasterServiceEvents>) => void;
  /** A change is committed, and shows. */
  readonly committed: () => void;
}

/** Does what the master's core asks of the machine and of the user layer, and brings the answers back as inputs. */
export class MasterEffects {
  readonly #parts: MasterEffectsParts;
  readonly #calls: UserCalls;
  readonly #fetches = new Set<AbortController>();
  readonly #streams: SharedStreams;
  /** The newest commit, as long as something that says the same may still leave with it. */
  #heldCommit: Of<'send'> | null = null;

  constructor(parts: MasterEffectsParts) {
    this.#parts = parts;
    this.#calls = new UserCalls(parts.node.ports.clock, parts.enter);
    this.#streams = new SharedStreams(parts.node.ports.clock);
  }

  /** The durable truth of the user layer; the first of its calls. */
  open(opened: (end: CallEnd<Tip | null>) => void): void {
    const { layer, callbackMs } = this.#parts;
    this.#calls.run({ name: 'open', limitMs: callbackMs, call: () => layer.open() }, opened);
  }

  /** Nothing that is under way is worth its end any more. */
  abandon(): void {
    for (const controller of this.#fetches) controller.abort(new Error('the data set was closed'));
    this.#streams.close();
  }

  execute(effect: Exclude<MasterEffect, { kind: 'settle' | 'event' | 'halt' }>): void {
    switch (effect.kind) {
      case 'send':
        this.#send(effect);
        return;
      case 'persist':
        this.#persist(effect);
        return;
      case 'callUser':
        this.#callUser(effect.token, effect.call);
        return;
      case 'offerBulk':
        this.#offerBulk(effect);
        return;
      case 'adopt':
        this.#adopt(effect);
        return;
      default:
        unreachable(effect);
    }
  }

  /** Nothing that says the same came: the commit goes by itself. */
  releaseCommit(): void {
    const held = this.#heldCommit;
    this.#heldCommit = null;
    if (held !== null) this.#leave(held);
  }

  #send(effect: Of<'send'>): void {
    const held = this.#heldCommit;
    if (held !== null && effect.to === 'all' && saysCommitOf(effect.message, held.message)) this.#heldCommit = null;
    this.releaseCommit();
    if (effect.to === 'all' && effect.message.kind === 'commit') this.#heldCommit = effect;
    else this.#leave(effect);
  }

  #leave({ to, epoch, message }: Of<'send'>): void {
    this.#parts.node.send({ to, dataSet: this.#parts.dataSet, epoch, message });
  }

  #persist(effect: Of<'persist'>): void {
    const joined = this.#sharedOperations(effect);
    if (!joined.ok) {
      this.#submitPersisted(effect.token, joined.reason);
      return;
    }
    if (effect.activates && effect.decided !== null) {
      this.#activate(effect, effect.decided, joined.operations);
      return;
    }
    if (!effect.durable && effect.operations.length + joined.operations.length === 0) {
      this.#afterDecision(effect.token, effect.decided); // nothing is to be written: `durability: memory`
      return;
    }
    this.#write(effect, joined.operations, () => {
      this.#afterDecision(effect.token, effect.decided);
    });
  }

  /**
   * The instant has come for what is durable already, as armed: it is shown at once. All that follows from it waits
   * (`limits.afterShowingMs`). A crash in between leaves the arming on disk, which says as much.
   */
  #activate(effect: Of<'persist'>, decided: Delta, joined: readonly StoreOperation[]): void {
    this.#show(decided, () => {
      const { node, enter, submit } = this.#parts;
      const atMs = node.nowMs();
      node.ports.clock.at(atMs + limits.afterShowingMs, () => {
        enter(() => {
          submit({ kind: 'exposed', token: effect.token, atMs });
          this.#write(effect, joined, () => {
            this.#submitDecided(effect.token);
          });
        });
      });
    });
  }

  /** `done` is called when it is on disk; a failure is the core's to hear. */
  #write(effect: Of<'persist'>, joined: readonly StoreOperation[], done: () => void): void {
    const { node, enter } = this.#parts;
    node.ports.store.write(
      (transaction) => {
        applyOperations(transaction, effect.operations);
        applyOperations(transaction, joined);
      },
      { durable: effect.durable },
      (error) => {
        enter(() => {
          if (error !== null) this.#submitPersisted(effect.token, error.message);
          else done();
        });
      },
    );
  }

  /**
   * What the layer writes in the transaction of the decision (G4). It is collected before the transaction begins, so
   * that a throw spoils nothing.
   */
  #sharedOperations(
    effect: Of<'persist'>,
  ): { ok: true; operations: readonly StoreOperation[] } | { ok: false; reason: string } {
    const shared = this.#parts.layer.shared;
    if (effect.decided === null || shared === undefined) return { ok: true, operations: [] };
    const operations: StoreOperation[] = [];
    try {
      shared.write(effect.decided, {
        put: (key, value) => operations.push({ kind: 'put', key, value }),
        remove: (key) => operations.push({ kind: 'remove', key }),
      });
    } catch (error) {
      return { ok: false, reason: `write threw: ${errorText(error)}` };
    }
    return { ok: true, operations };
  }

  /** The decision stands, whatever the layer makes of it: a failure here is told and changes nothing. */
  #afterDecision(token: Token, decided: Delta | null): void {
    if (decided === null) this.#submitPersisted(token, null);
    else
      this.#show(decided, () => {
        this.#submitDecided(token);
      });
  }

  #show(decided: Delta, shown: () => void): void {
    const { layer, callbackMs } = this.#parts;
    if (layer.shared !== undefined) {
      try {
        layer.shared.expose(decided);
      } catch (error) {
        this.#recordFailure('expose', decided, errorText(error));
      }
      shown();
      return;
    }
    if (layer.committed === undefined) {
      shown();
      return;
    }
    let answered = false;
    this.#calls.run({ name: 'committed', limitMs: callbackMs, call: () => layer.committed?.(decided) }, (end) => {
      if (!end.ok) this.#recordFailure('committed', decided, end.reason);
      if (answered) return;
      answered = true;
      shown();
    });
  }

  #callUser(token: Token, call: MasterUserCall): void {
    const { node, layer, callbackMs } = this.#parts;
    // A callback may take long: what was sent needn't wait for it.
    node.flush();
    const answer = (end: CallEnd<unknown>): void => {
      this.#parts.submit({ kind: 'answered', token, answer: userAnswer(call.name, end) });
    };
    const bounds = { name: call.name, limitMs: callbackMs };
    switch (call.name) {
      case 'recover':
        this.#calls.run<unknown>({ ...bounds, call: () => layer.recover(call.committed, call.missing) }, answer);
        return;
      case 'delta':
        this.#calls.run<unknown>({ ...bounds, call: () => layer.delta(call.from, call.to) }, answer);
        return;
      case 'restore':
        this.#calls.run<unknown>({ ...bounds, call: () => layer.restore(call.to, call.dropped) }, answer);
        return;
      default:
        unreachable(call);
    }
  }

  /** A new source is pinned at `at` here and now: what commits later must not show in it. */
  #offerBulk(effect: Of<'offerBulk'>): void {
    const { node, layer, dataSet, enter, submit } = this.#parts;
    const ended = (error: Error | null): void => {
      enter(() => {
        submit({ kind: 'transferred', token: effect.token, error: error === null ? null : error.message, tip: null });
      });
    };
    const bulkToken = node.ports.random.hex128();
    const { request, mode, from, sharedAs, notBelow } = effect;
    let at = effect.at;
    try {
      const given = this.#streams.give({
        node: effect.to.node,
        name: sharedAs,
        at,
        notBelow,
        open: () => (mode === 'snapshot' ? layer.snapshot(at) : asAsync(encodeDeltaStream(effect.steps))),
      });
      at = given.at;
      offerStream({ bulk: node.ports.bulk, token: bulkToken, chunks: given.chunks, group: given.group, ended });
    } catch (error) {
      ended(new Error(`snapshot threw: ${errorText(error)}`));
      return;
    }
    const message = {
      kind: 'bulk-offer',
      request,
      mode,
      from,
      to: at,
      port: node.ports.bulk.port,
      token: bulkToken,
    } as const;
    node.send({ to: effect.to, dataSet, epoch: effect.epoch, message });
  }

  /** `--adopt-from`: the slave's copy becomes the original. */
  #adopt(effect: Of<'adopt'>): void {
    const { node, layer, submit } = this.#parts;
    const fail = (error: string): void => {
      submit({ kind: 'transferred', token: effect.token, error, tip: null });
    };
    const address = node.addressOf(effect.from);
    const install = layer.install?.bind(layer);
    if (install === undefined) {
      fail('this user layer cannot take over a copy: it has no install');
      return;
    }
    if (address === null) {
      fail(`the address of ${effect.from.node} is not known`);
      return;
    }
    const controller = new AbortController();
    this.#fetches.add(controller);
    const source = { bulk: node.ports.bulk, clock: node.ports.clock, controller };
    const chunks = fetchStream({ ...source, address: withPort(address, effect.port), token: effect.bulkToken });
    this.#calls.run({ name: 'install', limitMs: null, call: () => install(effect.to, chunks) }, (end) => {
      this.#fetches.delete(controller);
      controller.abort(asError('the transfer is over'));
      if (end.ok) submit({ kind: 'transferred', token: effect.token, error: null, tip: effect.to });
      else fail(end.reason);
    });
  }

  #submitDecided(token: Token): void {
    this.#submitPersisted(token, null);
    this.#parts.committed();
  }

  #submitPersisted(token: Token, error: string | null): void {
    this.#parts.submit({ kind: 'persisted', token, error });
  }

  #recordFailure(callback: string, change: Delta, reason: string): void {
    this.#parts.record({
      name: 'callback-failed',
      level: 'error',
      fields: { callback, version: change.to.version, reason },
    });
  }
}

function userAnswer(name: string, end: CallEnd<unknown>): UserAnswer {
  if (!end.ok)
    return end.late ? { kind: 'failed', reason: end.reason, late: true } : { kind: 'failed', reason: end.reason };
  if (name !== 'delta') return { kind: 'done' };
  if (end.value === null || end.value instanceof Uint8Array) return { kind: 'done', bytes: end.value };
  return { kind: 'failed', reason: 'delta returned neither bytes nor null' };
}

async function* asAsync(chunks: Iterable<Uint8Array>): AsyncIterable<Uint8Array> {
  yield* chunks;
}
