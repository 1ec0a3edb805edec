import { describe, expect, it } from 'vitest';
import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import type { DataSetId, Delta, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import { noEpoch } from '../../shared/protocol/kernel/ids.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import { encodeDeltaStream } from '../../shared/runtime/bulk-deltas.js';
import type { FakeNode } from '../../tests/integration/process/fake-ports.js';
import { fakeNode, peer, settlePromises } from '../../tests/integration/process/fake-ports.js';
import type { SlaveUserLayer } from '../user/contract.js';
import type { Showing, SlaveEffect, SlaveInput } from './core/io.js';
import type { KeepAside } from './slave-effects.js';
import { SlaveService } from './slave-service.js';

const epoch = { number: 1, claimant: 'ab'.repeat(16) };
const first = issueDelta(null, epoch, 1 as Version, Uint8Array.of(1));
const second = issueDelta(first.to, epoch, 2 as Version, Uint8Array.of(2));

interface Scripted extends FakeNode {
  readonly service: SlaveService;
  readonly inputs: SlaveInput[];
  readonly emit: (...effects: SlaveEffect[]) => void;
  backlogBytes: number;
  readonly scheduled: { showing: Showing | null };
}

/** The real service over a core that emits what the test says. */
function scripted(layer: Partial<SlaveUserLayer> = {}, keepAside: KeepAside | null = null): Scripted {
  const fakes = fakeNode('s');
  const inputs: SlaveInput[] = [];
  const scheduled: Scripted['scheduled'] = { showing: null };
  let next: SlaveEffect[] = [];
  const whole: SlaveUserLayer = {
    open: () => null,
    prepare: () => ({ ok: true }),
    commit: () => undefined,
    abort: () => undefined,
    install: () => Promise.resolve(),
    ...layer,
  };
  const service = new SlaveService({
    node: fakes.node,
    dataSet: 'prices' as DataSetId,
    layer: whole,
    options: { callbackMs: 50 },
    settings: { durability: 'disk', maxLeaseMs: 10_000, keepAside },
    log: { record: (event) => void fakes.events.push(event) },
    makeCore: () => ({
      step: (input): SlaveEffect[] => {
        inputs.push(input);
        if (input.kind === 'close' || input.kind === 'discard')
          return [{ kind: 'settle', command: input.command, result: { kind: 'done' } }];
        const effects = next;
        next = [];
        return effects;
      },
      nextWakeMs: () => Infinity,
      nextInstantMs: () => scheduled.showing?.atMs ?? Infinity,
      get showing() {
        return scheduled.showing;
      },
      get backlogBytes() {
        return self.backlogBytes;
      },
      view: () => ({
        state: 'current',
        tip: null,
        heardOf: null,
        promised: noEpoch,
        master: null,
        leaseUntilMs: 0,
        welcomed: true,
        inDoubt: [],
        armed: null,
        resolved: [],
        behind: null,
        behindMs: null,
        lastVote: null,
        lastVeto: null,
        votes: { yes: 0, no: 0 },
        reason: '',
        repairs: 0,
        snapshots: 0,
        resyncs: {},
        clock: null,
      }),
    }),
    ended: () => undefined,
  });
  const emit = (...effects: SlaveEffect[]): void => {
    next = effects;
    fakes.deliver('m', 'prices', { kind: 'leave' });
  };
  const self: Scripted = { ...fakes, service, inputs, emit, backlogBytes: 0, scheduled };
  return self;
}

function commitUser(token: number, change: Delta): SlaveEffect {
  return {
    kind: 'commitUser',
    token,
    change,
    operations: [{ kind: 'remove', key: ['service', 'prices', 'prepared'] }],
    durable: true,
    activates: false,
  };
}

async function* streamOf(...chunks: Uint8Array[]): AsyncIterable<Uint8Array> {
  await Promise.resolve();
  yield* chunks;
}

function fetchBulk(mode: 'deltas' | 'snapshot', to: Tip, keepOld = false): SlaveEffect {
  const operations = [{ kind: 'remove', key: ['service', 'prices', 'prepared'] }] as const;
  return { kind: 'fetchBulk', token: 4, from: peer('m'), port: 8123, bulkToken: 't', mode, to, operations, keepOld };
}

describe('a commit at the slave service', () => {
  it("with a layer of its own: commits, shows, answers; the service's record follows", () => {
    const committed: number[] = [];
    const { emit, inputs, store, service } = scripted({ commit: (change) => void committed.push(change.to.version) });
    emit(commitUser(7, first));
    expect(committed).toEqual([1]);
    expect(inputs.at(-1)).toEqual({ kind: 'answered', token: 7, answer: { kind: 'done' } });
    expect(store.transactions).toEqual([{ puts: ['-service/prices/prepared'], durable: true }]);
    expect(service.tip).toEqual(first.to);
  });

  it('with a layer that shares the store: one transaction, shown only once it is durable (G4)', () => {
    const exposed: number[] = [];
    const { emit, inputs, store, service } = scripted({
      shared: {
        write: (change, transaction) => {
          transaction.put(['data', 'prices', 'tip'], change.to);
        },
        expose: (change) => void exposed.push(change.to.version),
      },
    });
    emit(commitUser(7, first));
    expect(store.transactions).toEqual([{ puts: ['-service/prices/prepared', 'data/prices/tip'], durable: true }]);
    expect(exposed).toEqual([]);
    expect(service.tip).toBeNull();
    store.complete();
    expect(exposed).toEqual([1]);
    expect(inputs.at(-1)).toEqual({ kind: 'answered', token: 7, answer: { kind: 'done' } });
  });

  /** A scheduled change whose instant is 100 ms away. */
  function scheduled(write: 'works' | 'throws' = 'works') {
    const calls: string[] = [];
    const at = scripted({
      shared: {
        write: (change, transaction) => {
          if (write === 'throws') throw new Error('no room');
          calls.push(`write ${change.to.version}`);
          transaction.put(['data', 'prices', 'tip'], change.to);
        },
        expose: (change) => void calls.push(`expose ${change.to.version}`),
      },
    });
    at.emit();
    const atMs = at.clock.monotonicMs() + 100;
    at.scheduled.showing = { change: first, atMs };
    at.emit();
    at.inputs.length = 0;
    return { ...at, at, calls, atMs };
  }

  it('of a scheduled change: shown at its instant without a step of the core, which hears of it when all have had their turn', () => {
    const { at, calls, atMs, inputs, clock, store, service } = scheduled();
    clock.advance(99);
    expect(calls).toEqual([]);
    clock.advance(1);
    expect(calls).toEqual(['write 1', 'expose 1']);
    expect(service.tip).toEqual(first.to);
    expect([inputs, store.transactions]).toEqual([[], []]);
    at.scheduled.showing = null;
    clock.advance(limits.afterShowingMs);
    expect(inputs).toEqual([{ kind: 'shown', to: first.to }, { kind: 'tick' }]);
    at.emit({ ...commitUser(7, first), activates: true } as SlaveEffect);
    expect(calls, 'not again').toEqual(['write 1', 'expose 1']);
    expect(inputs.at(-1)).toEqual({ kind: 'exposed', token: 7, atMs });
    expect(store.transactions).toEqual([{ puts: ['-service/prices/prepared', 'data/prices/tip'], durable: true }]);
    store.complete();
    expect(inputs.at(-1)).toEqual({ kind: 'answered', token: 7, answer: { kind: 'done' } });
  });

  it('of a scheduled change: the core hears that it shows before anything else, and before anybody asks for the state', () => {
    for (const by of ['packet', 'view'] as const) {
      const { at, inputs, clock, service } = scheduled();
      clock.advance(100);
      at.scheduled.showing = null;
      if (by === 'packet') at.emit();
      else service.view();
      expect(inputs[0]).toEqual({ kind: 'shown', to: first.to });
      clock.advance(50);
      expect(inputs.filter(({ kind }) => kind === 'shown')).toHaveLength(1);
    }
  });

  it('of a scheduled change: it is written when the rest is over, whatever brought the core there before', () => {
    const { at, clock, store } = scheduled();
    clock.advance(100);
    at.scheduled.showing = null;
    clock.advance(limits.afterShowingMs - 1);
    at.emit({ ...commitUser(7, first), activates: true } as SlaveEffect);
    expect(store.transactions).toEqual([]);
    clock.advance(1);
    expect(store.transactions).toHaveLength(1);
  });

  it('of a scheduled change that is put off, or that the layer fails to write: the core is asked, and nothing shows', () => {
    const late = scheduled();
    late.at.scheduled.showing = { change: first, atMs: late.atMs + 100 };
    late.clock.advance(100);
    expect([late.calls, late.inputs]).toEqual([[], [{ kind: 'tick' }]]);
    const failing = scheduled('throws');
    failing.clock.advance(100);
    expect([failing.calls, failing.inputs]).toEqual([[], [{ kind: 'tick' }]]);
  });

  it('that fails is told, moves no tip and removes no record', () => {
    const { emit, inputs, store, service } = scripted({
      commit: () => {
        throw new Error('full');
      },
    });
    emit(commitUser(7, first));
    expect(inputs.at(-1)).toEqual({
      kind: 'answered',
      token: 7,
      answer: { kind: 'failed', reason: 'commit threw: full' },
    });
    expect(store.transactions).toEqual([]);
    expect(service.tip).toBeNull();
  });

  it('past its time is told as late, and again when it is done', async () => {
    let release: () => void = () => undefined;
    const { emit, inputs, clock, service } = scripted({
      commit: () =>
        new Promise<void>((resolve) => {
          release = resolve;
        }),
    });
    emit(commitUser(7, first));
    clock.advance(51);
    expect(inputs.at(-1)).toMatchObject({ kind: 'answered', answer: { kind: 'failed', late: true } });
    expect(service.tip).toBeNull();
    release();
    await settlePromises();
    expect(inputs.at(-1)).toEqual({ kind: 'answered', token: 7, answer: { kind: 'done' } });
    expect(service.tip).toEqual(first.to);
  });

  it('never overlaps another callback: a node whose core tries stops, and leaves nobody waiting', async () => {
    const { emit, service, node, events } = scripted({ commit: () => new Promise(() => undefined) });
    const waiting = service.reached(9);
    emit(commitUser(7, first));
    expect(() => {
      emit(commitUser(8, second));
    }).toThrow('would overlap an earlier callback');
    await expect(waiting).rejects.toMatchObject({ code: 'closed' });
    expect(node.stopped).toBe(true);
    expect(events.at(-1)?.name).toBe('node-failed');
  });
});

describe('a prepare at the slave service', () => {
  it("is answered at once, with the layer's reason and operations; a throw and nonsense are failures", () => {
    const answers: SlaveUserLayer['prepare'][] = [
      () => ({ ok: true }),
      () => ({ ok: false, reason: 'cents must be positive', refused: [2] }),
      () => {
        throw new Error('oops');
      },
      () => undefined as unknown as { ok: true },
    ];
    const { emit, inputs } = scripted({
      prepare: (change, signal) => (answers.shift() ?? ((): { ok: true } => ({ ok: true })))(change, signal),
    });
    for (const token of [1, 2, 3, 4]) emit({ kind: 'callUser', token, call: { name: 'prepare', change: first } });
    expect(inputs.filter(({ kind }) => kind === 'answered')).toEqual([
      { kind: 'answered', token: 1, answer: { kind: 'done' } },
      { kind: 'answered', token: 2, answer: { kind: 'refused', reason: 'cents must be positive', refused: [2] } },
      { kind: 'answered', token: 3, answer: { kind: 'failed', reason: 'prepare threw: oops' } },
      { kind: 'answered', token: 4, answer: { kind: 'failed', reason: 'prepare answered neither yes nor no' } },
    ]);
  });

  it('past its time sees its signal aborted', () => {
    const signals: AbortSignal[] = [];
    const prepare: SlaveUserLayer['prepare'] = (_change, signal) => {
      signals.push(signal);
      return new Promise(() => undefined);
    };
    const { emit, inputs, clock } = scripted({ prepare });
    emit({ kind: 'callUser', token: 1, call: { name: 'prepare', change: first } });
    expect(signals[0]?.aborted).toBe(false);
    clock.advance(51);
    expect(signals[0]?.aborted).toBe(true);
    expect(inputs.at(-1)).toMatchObject({ kind: 'answered', token: 1, answer: { kind: 'failed', late: true } });
  });
});

describe('a transfer to the slave service', () => {
  function serving(test: Scripted, ...chunks: Uint8Array[]): void {
    test.endpoint.addresses.set('m', '127.0.0.1:7001');
    test.bulk.streams.set('127.0.0.1:8123 t', streamOf(...chunks));
  }

  it('of a snapshot is installed, then its records written, then told', async () => {
    const installed: string[] = [];
    const test = scripted({
      install: async (_to, chunks) => {
        for await (const chunk of chunks) installed.push(Buffer.from(chunk).toString());
      },
    });
    serving(test, Buffer.from('a'), Buffer.from('b'));
    test.emit(fetchBulk('snapshot', second.to));
    await settlePromises();
    expect(installed).toEqual(['a', 'b']);
    expect(test.service.tip).toEqual(second.to);
    expect(test.inputs.some(({ kind }) => kind === 'transferred')).toBe(false);
    test.store.complete();
    expect(test.inputs.at(-1)).toEqual({ kind: 'transferred', token: 4, error: null });
  });

  it('keeps a diverged copy aside first, and replaces nothing when that fails', async () => {
    const kept: string[] = [];
    const installs: Tip[] = [];
    let fail = false;
    const keepAside: KeepAside = async ({ version }, chunks) => {
      if (fail) throw new Error('no room');
      for await (const chunk of chunks) kept.push(`${version}:${Buffer.from(chunk).toString()}`);
    };
    const layer = {
      open: () => first.to,
      snapshot: () => streamOf(Buffer.from('old')),
      install: (to: Tip) => Promise.resolve(void installs.push(to)),
    };
    const test = scripted(layer, keepAside);
    serving(test);
    test.emit(fetchBulk('snapshot', second.to, true));
    await settlePromises();
    expect(kept).toEqual(['1:old']);
    expect(installs).toEqual([second.to]);
    fail = true;
    test.emit(fetchBulk('snapshot', second.to, true));
    await settlePromises();
    expect(installs).toHaveLength(1);
    expect(test.inputs.at(-1)).toEqual({ kind: 'transferred', token: 4, error: 'install threw: no room' });
  });

  it('of deltas is fed step by step, and waits while the core is full (G10)', async () => {
    const test = scripted();
    serving(test, ...encodeDeltaStream([first]), ...encodeDeltaStream([second]));
    test.backlogBytes = limits.maxPendingBytes;
    test.emit(fetchBulk('deltas', second.to));
    await settlePromises();
    expect(test.inputs.filter(({ kind }) => kind === 'streamed')).toEqual([]);
    test.backlogBytes = 0;
    test.emit();
    await settlePromises();
    test.store.complete();
    const versions = test.inputs
      .map((input) => (input.kind === 'streamed' ? input.delta.to.version : input.kind))
      .slice(-3);
    expect(versions).toEqual([1, 2, 'transferred']);
  });

  it('that is cut, or comes from an unknown address, is told as failed', async () => {
    const test = scripted();
    test.emit(fetchBulk('deltas', second.to));
    expect(test.inputs.at(-1)).toMatchObject({ kind: 'transferred', error: 'the address of m is not known' });
    const [whole] = [...encodeDeltaStream([first])];
    if (whole === undefined) throw new Error('no stream');
    serving(test, whole.subarray(0, 20));
    test.emit(fetchBulk('deltas', second.to));
    await settlePromises();
    expect(test.inputs.at(-1)).toMatchObject({ kind: 'transferred', error: 'the stream of deltas was cut' });
  });

  it('that falls silent is given up', async () => {
    const test = scripted({
      install: async (_to, chunks) => {
        for await (const chunk of chunks) expect(chunk).toBeDefined();
      },
    });
    test.endpoint.addresses.set('m', '127.0.0.1:7001');
    test.bulk.fetch = (_address: string, _token: string, signal?: AbortSignal): AsyncIterable<Uint8Array> => ({
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise((_resolve, reject) => {
            signal?.addEventListener('abort', () => {
              reject(signal.reason as Error);
            });
          }),
      }),
    });
    test.emit(fetchBulk('snapshot', second.to));
    await settlePromises();
    test.clock.advance(limits.bulkIdleMs + 1);
    await settlePromises();
    expect(test.inputs.at(-1)).toMatchObject({
      kind: 'transferred',
      error: expect.stringContaining('nothing came from') as string,
    });
  });
});

describe('readers of a slave', () => {
  it('wait for a version: reached, timed out, or aborted', async () => {
    const { service, emit, clock } = scripted();
    const reached = service.reached(1);
    const never = service.reached(9, { timeoutMs: 100 });
    const controller = new AbortController();
    const aborted = service.reached(9, { signal: controller.signal });
    emit(commitUser(1, first));
    await expect(reached).resolves.toEqual(first.to);
    await expect(service.reached(1)).resolves.toEqual(first.to);
    clock.advance(101);
    await expect(never).rejects.toMatchObject({ code: 'timed-out' });
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'aborted-by-caller' });
  });

  it('see every state in order; one that is too slow gets the newest, and how many it stands for', async () => {
    const { service, emit } = scripted();
    const changes = service.changes()[Symbol.asyncIterator]();
    emit(commitUser(1, first));
    emit(commitUser(2, second));
    expect(await changes.next()).toEqual({ done: false, value: { tip: first.to, skipped: 0 } });
    expect(await changes.next()).toEqual({ done: false, value: { tip: second.to, skipped: 0 } });
    for (let count = 0; count <= limits.changesBuffered; count += 1) emit(commitUser(3, second));
    expect(await changes.next()).toEqual({ done: false, value: { tip: second.to, skipped: limits.changesBuffered } });
    const pending = changes.next();
    await service.unregister();
    expect(await pending).toEqual({ done: true, value: undefined });
  });

  it('are never told "current" by a machine that slept: the core hears of it first (G12)', () => {
    const { service, inputs, clock } = scripted();
    clock.wallOffsetMs += limits.leaseMs / 4 + 1;
    expect(service.state).toBe('current');
    expect(inputs.slice(-2)).toEqual([
      { kind: 'suspended' },
      // Five more than was seen: as much may have been too little to notice before.
      { kind: 'clockJumped', byMs: limits.leaseMs / 4 + 6 },
    ]);
    clock.wallOffsetMs -= 60_000;
    service.view();
    clock.wallOffsetMs += 4;
    service.view();
    expect(inputs.filter(({ kind }) => kind === 'suspended')).toHaveLength(1);
    expect(inputs.filter(({ kind }) => kind === 'clockJumped')).toHaveLength(1);
  });

  it('are told when the node was refused by its group; the copy stays readable', async () => {
    const { service, emit } = scripted({ open: () => first.to });
    const waiting = service.reached(9);
    emit({ kind: 'halt', code: 'name-taken', text: "another node is called 's'" });
    await expect(waiting).rejects.toMatchObject({ code: 'name-taken' });
    await expect(service.discard()).rejects.toMatchObject({ code: 'name-taken' });
    expect(service.tip).toEqual(first.to);
  });
});
