import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { testKeys } from '../../tests/integration/sim/keys.js';
import type { GroupKeys } from '../protocol/secure/keys.js';
import { SystemClock } from './clock.js';
import { openTcpBulk, type TcpBulk } from './tcp-bulk.js';

const opened: TcpBulk[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((bulk) => bulk.close()));
});

async function bulkWith(keys: GroupKeys | null): Promise<TcpBulk> {
  const secured = keys === null ? {} : { keys: () => keys };
  const bulk = await openTcpBulk({ host: '127.0.0.1', clock: new SystemClock(), idleMs: 2000, ...secured });
  opened.push(bulk);
  return bulk;
}

async function* oneChunk(): AsyncIterable<Uint8Array> {
  yield Buffer.from('the data of the group');
}

/** What a fetcher with its keys gets of a server with its own; or why it gets nothing. */
async function fetched(server: GroupKeys | null, fetcher: GroupKeys | null): Promise<string> {
  const from = await bulkWith(server);
  const to = await bulkWith(fetcher);
  from.offer('token', oneChunk, 5000, () => undefined);
  const chunks: Uint8Array[] = [];
  try {
    const { signal } = new AbortController();
    for await (const chunk of to.fetch(`127.0.0.1:${from.port}`, 'token', signal)) chunks.push(chunk);
  } catch (error) {
    expect(error).toMatchObject({ name: 'LockstepError' });
    return error instanceof Error ? error.message : String(error);
  }
  return Buffer.concat(chunks).toString();
}

const data = 'the data of the group';
const masters = testKeys('master');
const slaves = testKeys('slave');

describe('streams with keys', () => {
  test('a slave fetches from a master, and a master that adopts a copy from a slave', async () => {
    expect(await fetched(masters, slaves)).toBe(data);
    expect(await fetched(slaves, masters)).toBe(data);
    expect(await fetched(masters, masters)).toBe(data);
  });

  test("a holder of a slave's key serves no slave", async () => {
    expect(await fetched(slaves, slaves)).toMatch(/didn't prove to be a master/);
  });

  test("a proof of another master's key is none", async () => {
    const impostor = testKeys('master', { word: 'other' });
    const mixed: GroupKeys = { ...impostor, ...sameStreamKey(impostor) };
    expect(await fetched(mixed, slaves)).toMatch(/didn't prove to be a master/);
  });

  test('the wrong key, an unknown one, and none at all are refused, either way', async () => {
    for (const other of [testKeys('slave', { word: 'other' }), testKeys('slave', { ids: [9] }), null]) {
      expect(await fetched(masters, other)).not.toBe(data);
    }
    for (const other of [testKeys('master', { word: 'other' }), null])
      expect(await fetched(other, slaves)).not.toBe(data);
  });

  test('in a rotation old and new meet', async () => {
    const both = testKeys('slave', { ids: [1, 2] });
    expect(await fetched(testKeys('master', { ids: [1, 2], current: 2 }), both)).toBe(data);
    expect(await fetched(testKeys('master', { ids: [1, 2] }), testKeys('slave', { ids: [1, 2], current: 2 }))).toBe(
      data,
    );
    expect(await fetched(testKeys('master', { ids: [2] }), slaves)).not.toBe(data);
  });

  test('nothing is readable on the way, and a stranger gets no answer', async () => {
    const from = await bulkWith(masters);
    from.offer('token', oneChunk, 5000, () => undefined);
    const socket = connect(from.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const heard: Buffer[] = [];
    socket.on('data', (piece: Buffer) => heard.push(piece));
    socket.write('token\n');
    await once(socket, 'close');
    expect(Buffer.concat(heard).includes('data')).toBe(false);
  });

  test('a connection that says nothing is given up', async () => {
    const from = await bulkWith(masters);
    const socket = connect(from.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'close');
    expect(socket.destroyed).toBe(true);
  });

  /** Holds the group's packet key, as any slave does, and a master's key that it made itself. */
  function sameStreamKey(impostor: GroupKeys): Pick<GroupKeys, 'current' | 'byId'> {
    const current = { ...impostor.current, stream: slaves.current.stream };
    return { current, byId: new Map([[current.id, current]]) };
  }
});
