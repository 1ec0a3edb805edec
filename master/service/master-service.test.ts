import { describe, expect, it } from 'vitest';
import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import type { DataSetId, Peer, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import { noEpoch } from '../../shared/protocol/kernel/ids.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import type { FakeNode } from '../../tests/integration/process/fake-ports.js';
import { fakeNode, peer, settlePromises } from '../../tests/integration/process/fake-ports.js';
import type { MasterUserLayer } from '../user/contract.js';
import type { DataSetDefaults } from '../types.js';
import type { MasterEffect, MasterInput } from './core/io.js';
import type { LoggedRound } from './core/round-log.js';
import type { MasterPhase } from './core/view.js';
import { MasterService } from './master-service.js';

const epoch = { number: 1, claimant: 'ab'.repeat(16) };
const change = issueDelta(null, epoch, 1 as Version, Uint8Array.of(1, 2, 3));

interface Scripted extends FakeNode {
  readonly service: MasterService;
  readonly inputs: MasterInput[];
  /** Has the core emit these as answer to its next input, and gives it one. */
  readonly emit: (...effects: MasterEffect[]) => void;
  phase: MasterPhase;
  deaf: boolean;
  logged: readonly LoggedRound[];
}

/** The real service over a core that emits what the test says. */
function scripted(layer: Partial<MasterUserLayer> = {}, defaults: DataSetDefaults = {}): Scripted {
  const fakes = fakeNode('m');
  const inputs: MasterInput[] = [];
  let next: MasterEffect[] = [];
  const whole: MasterUserLayer = {
    open: () => null,
    recover: () => undefined,
    delta: () => null,
    snapshot: () => {
      throw new Error('no snapshot');
    },
    restore: () => undefined,
    ...layer,
  };
  const service = new MasterService({
    node: fakes.node,
    dataSet: 'prices' as DataSetId,
    layer: whole,
    defaults,
    settings: {
      durability: 'disk',
      takeOver: false,
      adoptFrom: null,
      resetGroup: false,
      leaseMs: 3000,
      maxLeaseMs: 10_000,
      surveyMs: 1000,
      groupOffsetMs: 1_796_119_200_000,
      claimant: 'cd'.repeat(16),
    },
    log: { record: (event) => void fakes.events.push(event) },
    makeCore: () => ({
      step: (input): MasterEffect[] => {
        inputs.push(input);
        if (input.kind !== 'start' && self.deaf) return [];
        if (input.kind === 'close') return [{ kind: 'settle', command: input.command, result: { kind: 'done' } }];
        const effects = next;
        next = [];
        return effects;
      },
      nextWakeMs: () => Infinity,
      rounds: () => self.logged,
      armed: () => null,
      view: () => ({
        phase: self.phase,
        epoch,
        tip: null,
        mayCommit: true,
        queued: 0,
        openRounds: [],
        armed: null,
        activation: null,
        members: [],
        historyBytes: 0,
        oldestDelta: null,
      }),
      committed: { tip: null, oldestVersion: null, after: () => [], tipAt: () => null },
    }),
    ended: () => undefined,
  });
  const emit = (...effects: MasterEffect[]): void => {
    next = effects;
    fakes.deliver('s', 'prices', { kind: 'leave' });
  };
  const self: Scripted = { ...fakes, service, inputs, emit, phase: 'surveying', deaf: false, logged: [] };
  return self;
}

function kinds(inputs: readonly MasterInput[]): string[] {
  return inputs.map(({ kind }) => kind).filter((kind) => kind !== 'received');
}

describe('the master service', () => {
  it("gives its core's account of rounds in wall-clock time, with the name of each", async () => {
    const test = scripted();
    expect(test.service.rounds()).toEqual([]);
    await test.service.opened;
    const nowMs = test.node.nowMs();
    const round = {
      epoch,
      version: 1,
      phases: 'two',
      outcome: 'committed',
      reason: null,
      operations: 2,
      bytes: 9,
    } as const;
    const times = { startedMs: nowMs - 30, decidedMs: nowMs - 20, exposedMs: nowMs - 5 };
    const open = { ...round, version: 2, outcome: 'open', startedMs: nowMs, decidedMs: null, exposedMs: null } as const;
    test.logged = [
      { ...open, number: null, votes: [], missing: [], activation: null },
      { ...round, ...times, number: 7, votes: [], missing: [], activation: null },
    ];
    const wallMs = test.node.ports.clock.wallMs();
    expect(test.service.rounds()).toMatchObject([
      { round: '1.abababab.v2', startedAtMs: wallMs, decidedMs: null, exposedMs: null },
      { round: '1.abababab.7', startedAtMs: wallMs - 30, decidedMs: 10, exposedMs: 25, operations: 2 },
    ]);
    expect(() => test.service.rounds(0)).toThrow(/limit must be a whole number of at least 1, not 0/);
  });

  it('opens the user layer first, then starts the core with its tip', async () => {
    const { service, inputs } = scripted({ open: () => Promise.resolve(change.to) });
    expect(service.view().phase).toBe('opening');
    await service.opened;
    expect(inputs).toEqual([{ kind: 'start', tip: change.to }]);
  });

  it('is registered with a typed error only, when the user layer cannot be opened or answers nonsense', async () => {
    await expect(
      scripted({
        open: () => {
          throw new Error('bad file');
        },
      }).service.opened,
    ).rejects.toMatchObject({
      code: 'user-layer-failed',
      message: expect.stringContaining('bad file') as string,
    });
    const nonsense = (): null => ({ version: 'one' }) as unknown as null;
    await expect(scripted({ open: nonsense }).service.opened).rejects.toMatchObject({ code: 'user-layer-failed' });
  });

  it("writes the layer's records in the transaction of the decision, exposes once it is durable, then tells the core (G3, G4)", () => {
    const order: string[] = [];
    const shared = {
      write: (_change: unknown, transaction: { put(key: readonly string[], value: unknown): void }): void => {
        transaction.put(['data', 'prices', 'k'], 1);
      },
      expose: (): void => void order.push('expose'),
    };
    const { emit, store, inputs } = scripted({ shared });
    emit({
      kind: 'persist',
      activates: false,
      token: 5,
      durable: true,
      decided: change,
      operations: [{ kind: 'put', key: ['service', 'prices', 'master', 'tip'], value: change.to }],
    });
    expect(store.transactions).toEqual([{ puts: ['service/prices/master/tip', 'data/prices/k'], durable: true }]);
    expect(order).toEqual([]);
    store.complete();
    expect(order).toEqual(['expose']);
    expect(inputs.at(-1)).toEqual({ kind: 'persisted', token: 5, error: null });
  });

  it('tells the core of a failed write, and exposes nothing', () => {
    const exposed: unknown[] = [];
    const { emit, store, inputs } = scripted({
      shared: { write: () => undefined, expose: (delta) => void exposed.push(delta) },
    });
    store.failure = new Error('EIO');
    emit({ kind: 'persist', token: 5, durable: true, decided: change, activates: false, operations: [] });
    store.complete();
    expect(inputs.at(-1)).toEqual({ kind: 'persisted', token: 5, error: 'EIO' });
    expect(exposed).toEqual([]);
  });

  it('calls `committed` in order before the core hears of the write; its failure changes nothing and is told', () => {
    const committed: number[] = [];
    const { emit, store, inputs, events } = scripted({
      committed: (delta) => {
        committed.push(delta.to.version);
        throw new Error('mine');
      },
    });
    emit({ kind: 'persist', token: 1, durable: true, decided: change, activates: false, operations: [] });
    store.complete();
    expect(committed).toEqual([1]);
    expect(inputs.at(-1)).toEqual({ kind: 'persisted', token: 1, error: null });
    expect(events.map(({ name }) => name)).toContain('callback-failed');
  });

  it('answers for a callback: at once, with bytes, by its throw, and twice when it ran past its time', async () => {
    let release: (bytes: Uint8Array) => void = () => undefined;
    const late = new Promise<Uint8Array>((resolve) => {
      release = resolve;
    });
    const answers: MasterUserLayer['delta'][] = [
      () => Uint8Array.of(9),
      () => {
        throw new Error('gone');
      },
      () => 'text' as unknown as null,
      () => late,
    ];
    const { emit, inputs, clock } = scripted(
      { delta: (from, to) => (answers.shift() ?? ((): null => null))(from, to) },
      { callbackMs: 50 },
    );
    for (const token of [1, 2, 3, 4])
      emit({ kind: 'callUser', token, call: { name: 'delta', from: null, to: { version: 1 } } });
    clock.advance(60);
    release(Uint8Array.of(7));
    await settlePromises();
    expect(inputs.filter(({ kind }) => kind === 'answered')).toEqual([
      { kind: 'answered', token: 1, answer: { kind: 'done', bytes: Uint8Array.of(9) } },
      { kind: 'answered', token: 2, answer: { kind: 'failed', reason: 'delta threw: gone' } },
      { kind: 'answered', token: 3, answer: { kind: 'failed', reason: 'delta returned neither bytes nor null' } },
      { kind: 'answered', token: 4, answer: { kind: 'failed', reason: 'delta took longer than 50 ms', late: true } },
      { kind: 'answered', token: 4, answer: { kind: 'done', bytes: Uint8Array.of(7) } },
    ]);
  });

  it('pins a snapshot when it is asked for, offers it, and tells of its end', async () => {
    let contents = 'before';
    async function* snapshot(): AsyncIterable<Uint8Array> {
      const pinned = contents;
      await Promise.resolve();
      yield Buffer.from(pinned);
    }
    const { emit, bulk, inputs, endpoint } = scripted({ snapshot });
    emit({
      kind: 'offerBulk',
      token: 3,
      to: peer('s'),
      epoch,
      request: 8,
      mode: 'snapshot',
      from: null,
      at: change.to,
      sharedAs: 'snapshot',
      notBelow: 1,
      steps: [],
    });
    contents = 'after';
    const [offer] = bulk.offers;
    if (offer === undefined) throw new Error('nothing was offered');
    expect(endpoint.sent.at(-1)?.message).toEqual({
      kind: 'bulk-offer',
      request: 8,
      mode: 'snapshot',
      from: null,
      to: change.to,
      port: bulk.port,
      token: offer.token,
    });
    const chunks: Uint8Array[] = [];
    for await (const chunk of offer.source()) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('before');
    offer.ended(null);
    expect(inputs.at(-1)).toEqual({ kind: 'transferred', token: 3, error: null, tip: null });
  });

  it('lets go of a snapshot that nobody fetched', async () => {
    let released = false;
    async function* snapshot(): AsyncIterable<Uint8Array> {
      try {
        await Promise.resolve();
        yield Uint8Array.of(1);
      } finally {
        released = true;
      }
    }
    const { emit, bulk, inputs, clock } = scripted({ snapshot });
    emit({
      kind: 'offerBulk',
      token: 3,
      to: peer('s'),
      epoch,
      request: 8,
      mode: 'snapshot',
      from: null,
      at: change.to,
      sharedAs: 'snapshot',
      notBelow: 1,
      steps: [],
    });
    await settlePromises();
    bulk.offers[0]?.ended(new Error('nobody came'));
    await settlePromises();
    expect(inputs.at(-1)).toEqual({ kind: 'transferred', token: 3, error: 'nobody came', tip: null });
    expect(released, 'others may ask for the same').toBe(false);
    clock.advance(limits.sharedStreamMs);
    await settlePromises();
    expect(released).toBe(true);
  });

  it('makes one snapshot for all that ask for it at about the same time, and names the state that it leads to', () => {
    let made = 0;
    async function* snapshot(): AsyncIterable<Uint8Array> {
      made += 1;
      await Promise.resolve();
      yield Uint8Array.of(1);
    }
    const { emit, endpoint } = scripted({ snapshot });
    const later = { ...change.to, version: change.to.version + 1 } as typeof change.to;
    for (const [token, at] of [change.to, later].entries()) {
      const offer = { token, to: peer(`s${token}`), epoch, request: 8, from: null, at, steps: [] } as const;
      emit({ kind: 'offerBulk', mode: 'snapshot', sharedAs: 'snapshot', notBelow: 1, ...offer });
    }
    expect(made).toBe(1);
    expect(endpoint.sent.slice(-2).map(({ message }) => (message.kind === 'bulk-offer' ? message.to : null))).toEqual([
      change.to,
      change.to,
    ]);
  });

  it("adopts a slave's copy through `install`", async () => {
    const installed: string[] = [];
    const { emit, bulk, inputs, endpoint } = scripted({
      install: async (_to, chunks) => {
        for await (const chunk of chunks) installed.push(Buffer.from(chunk).toString());
      },
    });
    endpoint.addresses.set('s', '127.0.0.1:7001');
    bulk.streams.set(
      '127.0.0.1:8123 t',
      (async function* () {
        await Promise.resolve();
        yield Buffer.from('copy');
      })(),
    );
    emit({ kind: 'adopt', token: 2, from: peer('s'), port: 8123, bulkToken: 't', to: change.to });
    await settlePromises();
    expect(installed).toEqual(['copy']);
    expect(inputs.at(-1)).toEqual({ kind: 'transferred', token: 2, error: null, tip: change.to });
  });
});

describe('commands at the master service', () => {
  it("settle with the core's outcome, reject with its code, and pass the caller's abort on", async () => {
    const { service, emit, inputs } = scripted();
    const controller = new AbortController();
    const outcome = service.replicate({ version: 1, delta: Uint8Array.of(1), signal: controller.signal });
    const refused = service.replicate({ version: 1 });
    expect(inputs.filter(({ kind }) => kind === 'replicate')).toMatchObject([
      { command: 1, replication: { version: 1, phases: 'two', voters: 'live', timeoutMs: 2000, wait: 'decided' } },
      { command: 2 },
    ]);
    controller.abort();
    expect(inputs.at(-1)).toEqual({ kind: 'cancel', command: 1 });
    emit(
      { kind: 'settle', command: 1, result: { kind: 'aborted', reason: 'cancelled', refusals: [], durationMs: 4 } },
      {
        kind: 'settle',
        command: 2,
        result: { kind: 'rejected', code: 'version-not-greater', text: 'version 1 is taken' },
      },
    );
    await expect(outcome).resolves.toMatchObject({ kind: 'aborted', reason: 'cancelled' });
    await expect(refused).rejects.toMatchObject({ code: 'version-not-greater' });
  });

  it('are refused for misuse before the core hears of them', async () => {
    const { service, inputs } = scripted();
    await expect(service.replicate({ version: 0 })).rejects.toMatchObject({ code: 'bad-option' });
    await expect(service.replicate({ version: 1, timeoutMs: 0 })).rejects.toMatchObject({ code: 'bad-option' });
    await expect(service.replicate({ version: 1, voters: 1.5 })).rejects.toMatchObject({ code: 'bad-option' });
    await expect(service.replicate({ version: 1, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'aborted-by-caller',
    });
    expect(kinds(inputs)).toEqual(['start']);
  });

  it('`leading` resolves when the core leads', async () => {
    const test = scripted();
    const leading = test.service.leading();
    test.phase = 'leading';
    test.emit();
    await expect(leading).resolves.toBeUndefined();
  });

  it('all end when the core halts: an open replication as unknown, the others with the reason', async () => {
    const { service, emit } = scripted();
    const replication = service.replicate({ version: 1 });
    const leading = service.leading();
    const rollBack = service.rollBack(1);
    emit({ kind: 'halt', code: 'stepped-down', text: 'another master leads' });
    await expect(replication).resolves.toMatchObject({ kind: 'unknown', reason: 'another master leads' });
    await expect(leading).rejects.toMatchObject({ code: 'stepped-down' });
    await expect(rollBack).rejects.toMatchObject({ code: 'stepped-down' });
    await expect(service.replicate({ version: 2 })).rejects.toMatchObject({ code: 'stepped-down' });
  });

  it('are over after unregister, which frees the name', async () => {
    const { service, inputs, node } = scripted();
    await service.unregister();
    expect(inputs.at(-1)).toMatchObject({ kind: 'close', reason: 'unregistered' });
    await expect(service.replicate({ version: 1 })).rejects.toMatchObject({ code: 'closed' });
    node.attach('prices', { onMessage: () => undefined, onTick: () => undefined, nextWakeMs: () => Infinity });
  });

  it('are over even when the core never answers the close', async () => {
    const test = scripted();
    test.deaf = true;
    const closed = test.service.close('closed');
    test.clock.advance(limits.callbackMs);
    // Told once more, in vain.
    await new Promise((resolve) => setImmediate(resolve));
    test.clock.advance(limits.callbackMs);
    await closed;
    expect(test.service.over).toBe(true);
  });

  it('leave with the events of the core, named by node and data set', () => {
    const { emit, events } = scripted();
    emit({ kind: 'event', event: { name: 'announced', level: 'debug', fields: { version: 3 } } });
    expect(events.at(-1)).toEqual({
      name: 'announced',
      level: 'debug',
      fields: { dataSet: 'prices', node: 'm', version: 3 },
    });
  });

  it('send what the core sends, before a callback that takes long', () => {
    const seen: number[] = [];
    const test = scripted({
      delta: () => {
        seen.push(test.datagrams());
        return null;
      },
    });
    test.emit(
      { kind: 'send', to: 'all', epoch: noEpoch, message: { kind: 'survey' } },
      { kind: 'callUser', token: 1, call: { name: 'delta', from: null, to: { version: 1 } } },
    );
    expect(seen).toEqual([1]);
  });

  describe('with a commit', () => {
    const round = { epoch, number: 4 };
    const commit = (number: number, acknowledge = false): MasterEffect => ({
      kind: 'send',
      to: 'all',
      epoch,
      message: { kind: 'commit', round: { epoch, number }, to: change.to, lowestOpenRound: number + 1, acknowledge },
    });
    const settle: MasterEffect = { kind: 'settle', command: 99, result: { kind: 'done' } };
    const prepare = (fields: { committed: Tip | null; to?: Peer }): MasterEffect => ({
      kind: 'send',
      to: fields.to ?? 'all',
      epoch,
      message: {
        kind: 'prepare',
        from: change.to,
        round: 5,
        lowestOpenRound: 5,
        committed: fields.committed,
        activateAtMs: null,
        to: { ...change.to, version: 9 as Version },
        content: { kind: 'version' },
        voters: Uint8Array.of(1),
      },
    });
    const sent = (fakes: Scripted): string[] => fakes.endpoint.sent.map(({ message }) => message.kind);

    it("let it go at once when no caller was told, and at the end of the event loop's turn when one was", () => {
      const alone = scripted();
      alone.emit(commit(round.number));
      expect(sent(alone)).toEqual(['commit']);
      const told = scripted();
      told.emit(commit(round.number), settle);
      expect(sent(told)).toEqual([]);
      told.clock.advance(0);
      expect(sent(told)).toEqual(['commit']);
      expect(told.datagrams()).toBe(1);
    });

    it('leave it out when the prepare that leaves with it says the same', () => {
      const test = scripted();
      test.emit(commit(4), settle);
      test.emit(prepare({ committed: change.to }));
      test.clock.advance(0);
      expect(sent(test)).toEqual(['prepare']);
      expect(test.datagrams()).toBe(1);
    });

    it.each([
      ['names an earlier state as committed', { committed: null }],
      ['goes to one slave only', { committed: change.to, to: peer('s') }],
    ])('keep it, and its place before the prepare, when that %s', (_what, fields) => {
      const test = scripted();
      test.emit(commit(4), settle);
      test.emit(prepare(fields));
      expect(sent(test)).toEqual(['commit', 'prepare']);
    });

    it('keep one whose acknowledgement a caller waits for, and leave out those that a later one implies', () => {
      const test = scripted();
      test.emit(commit(3), settle, commit(4, true), settle);
      test.emit(prepare({ committed: change.to }));
      expect(sent(test)).toEqual(['commit', 'prepare']);
      expect(test.endpoint.sent[0]?.message).toMatchObject({ round: { number: 4 } });
    });
  });
});
