import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ChannelMessage, ChangeTrace, MasterUserLayer } from '../../../master/index.js';
import { keyValue as originals, Master } from '../../../master/index.js';
import { keyValue as copies, Slave } from '../../../slave/index.js';
import { freePort, Loopback, TextCopy, TextOriginal, until } from './loopback.js';

/** What a program that embeds a node is given beside the data: events, cancelling, channels. */

interface Price {
  readonly cents: number;
}

const refused = { code: 'aborted-by-caller' } as const;

describe('events', () => {
  it('are typed by their name, and say whose they are', async () => {
    await using group = await Loopback.start();
    const master = await group.master();
    const slave = await group.slave('s1');
    const seen: string[] = [];
    master.on('committed', ({ name, fields }) => {
      const version: number = fields.version;
      seen.push(`${name} ${fields.dataSet} v${version} at ${fields.node}`);
    });
    slave.on('exposed', ({ fields: { node, version } }) => seen.push(`exposed v${version} at ${node}`));
    // @ts-expect-error -- there is no such event
    master.on('comitted', () => undefined);
    // @ts-expect-error -- nor is there this field
    slave.on('exposed', ({ fields }) => void fields.round);
    const prices = await master.register('prices', originals<Price>());
    const copy = await slave.register('prices', copies<Price>());
    await until(() => prices.dataSet.members().some((member) => member.live), 's1 is a member');
    await prices.change([{ put: ['sku-1', { cents: 5 }] }]);
    await copy.reached(1, { timeoutMs: 8000 });
    expect(seen).toEqual(['committed prices v1 at master', 'exposed v1 at s1']);
  });

  it('reach whoever subscribes to their channel, and calls of change can be traced', async () => {
    const messages: ChannelMessage[] = [];
    const traced: string[] = [];
    const subscriber = (message: unknown): void => void messages.push(message as ChannelMessage);
    const traces = tracingChannel<unknown, ChangeTrace>('lockstep:master:change');
    const subscribers = {
      start: ({ dataSet, operations }: ChangeTrace) => void traced.push(`start ${dataSet} ${operations}`),
      end: () => undefined,
      asyncStart: () => undefined,
      asyncEnd: ({ result }: ChangeTrace) => void traced.push(`end ${result?.kind ?? 'without a result'}`),
      error: () => undefined,
    };
    subscribe('lockstep:master:round-started', subscriber);
    traces.subscribe(subscribers);
    try {
      await using group = await Loopback.start();
      const master = await group.master();
      const prices = await master.register('prices', originals<Price>());
      await prices.change([{ put: ['sku-1', { cents: 5 }] }]);
      await expect(prices.change([])).rejects.toMatchObject({ code: 'bad-operation' });
    } finally {
      unsubscribe('lockstep:master:round-started', subscriber);
      traces.unsubscribe(subscribers);
    }
    expect(messages).toMatchObject([
      {
        role: 'master',
        node: 'master',
        name: 'round started',
        level: 'debug',
        fields: { dataSet: 'prices', version: 1 },
      },
    ]);
    expect(traced).toEqual(['start prices 1', 'end committed', 'start prices 0', 'end without a result']);
  });
});

describe('whoever waits may cancel', () => {
  it('opening a node, which then leaves neither port nor store behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-'));
    try {
      const port = await freePort();
      const options = { store: folder, port, group: `239.255.43.1:${await freePort()}` };
      await expect(Master.open({ ...options, signal: AbortSignal.abort() })).rejects.toMatchObject(refused);
      const controller = new AbortController();
      const opening = Master.open({ ...options, signal: controller.signal });
      controller.abort();
      await expect(opening).rejects.toMatchObject(refused);
      const opened = await Master.open(options);
      await opened.close();
      await expect(
        Slave.open({ ...options, name: 's1', store: join(folder, 's1'), signal: AbortSignal.abort() }),
      ).rejects.toMatchObject(refused);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('registering, which then leaves the name free', async () => {
    await using group = await Loopback.start();
    const master = await group.master();
    const slave = await group.slave('s1');
    const never = (): Promise<null> => new Promise(() => undefined);
    const original: MasterUserLayer = Object.assign(new TextOriginal(), { open: never });
    const copy = Object.assign(new TextCopy(), { open: never });
    for (const register of [
      (signal: AbortSignal) => master.register('text', original, { signal }),
      (signal: AbortSignal) => slave.register('text', copy, { signal }),
    ]) {
      const controller = new AbortController();
      const registering = register(controller.signal);
      controller.abort();
      await expect(registering).rejects.toMatchObject(refused);
      await expect(register(AbortSignal.abort())).rejects.toMatchObject(refused);
    }
    await master.register('text', new TextOriginal());
    await slave.register('text', new TextCopy());
  });

  it('leading, reaching, replicating, and every order', async () => {
    await using group = await Loopback.start();
    const slave = await group.slave('s1');
    const copy = await slave.register('text', new TextCopy());
    const controller = new AbortController();
    const reaching = copy.reached(1, { signal: controller.signal });
    controller.abort();
    await expect(reaching).rejects.toMatchObject(refused);
    const master = await group.master();
    const text = await master.register('text', new TextOriginal());
    const signal = AbortSignal.abort();
    for (const cancelled of [
      () => copy.reached(1, { signal }),
      () => copy.discard({ signal }),
      () => copy.resolve('1.abc.1', 'aborted', 'me', { signal }),
      () => copy.unregister({ signal }),
      () => slave.unregister('text', { signal }),
      () => slave.reloadKeys(undefined, { signal }),
      () => text.leading({ signal }),
      () => text.replicate({ version: 1, delta: Buffer.from('a'), signal }),
      () => text.rollBack(1, { signal }),
      () => text.forget('s1', { signal }),
      () => text.unregister({ signal }),
      () => master.unregister('text', { signal }),
      () => master.reloadKeys(undefined, { signal }),
    ]) {
      await expect(cancelled(), String(cancelled)).rejects.toMatchObject(refused);
    }
    await text.leading();
    expect(text.members().map(({ node }) => node)).not.toContain('nobody');
    await expect(text.forget('nobody')).rejects.toMatchObject({ code: 'member-unknown' });
  });
});

describe('a slave', () => {
  it('ends its iterator with the loop, the signal, `using` and the node', async () => {
    await using group = await Loopback.start();
    const slave = await group.slave('s1');
    const copy = await slave.register('text', new TextCopy());
    const controller = new AbortController();
    const bySignal = copy.changes({ signal: controller.signal });
    const byUsing = copy.changes();
    const byNode = copy.changes();
    controller.abort();
    await byUsing[Symbol.asyncDispose]();
    expect(await bySignal.next()).toEqual({ done: true, value: undefined });
    expect(await byUsing.next()).toEqual({ done: true, value: undefined });
    const waiting = byNode.next();
    await slave.close();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });
});
