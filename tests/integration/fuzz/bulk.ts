import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import * as fc from 'fast-check';
import { issueDelta } from '../../../shared/protocol/kernel/digest.js';
import { LockstepError } from '../../../shared/protocol/kernel/errors.js';
import { DeltaStreamDecoder, encodeDeltaStream } from '../../../shared/runtime/bulk-deltas.js';
import { SystemClock } from '../../../shared/runtime/clock.js';
import { openTcpBulk, type TcpBulk } from '../../../shared/runtime/tcp-bulk.js';
import { failedFrame, frameHead } from '../../../shared/runtime/tcp-frames.js';
import { epoch, tip } from '../vectors/samples.js';
import { hold, stepsTarget, type FuzzTarget } from './target.js';

const host = '127.0.0.1';
const token = 'f'.repeat(32);
/** Nothing of this is slow: a connection that still stands after so long is stuck. */
const stuckMs = 10_000;
/** Shorter than what counts as stuck, and so long that a process that is kept from running isn't cut off. */
const idleMs = 5000;

interface BulkStep {
  /** To our server, or as the answer of a server to our fetch. */
  readonly to: 'server' | 'fetcher';
  readonly pieces: readonly Uint8Array[];
  /** How the stranger ends the connection. */
  readonly ending: 'close' | 'reset';
}

const delta = issueDelta(tip(1), epoch, tip(2).version, Uint8Array.of(1, 2, 3, 4));
const stream = Buffer.concat([...encodeDeltaStream([delta, delta])]);
const sound = Buffer.concat([frameHead('chunk', stream.byteLength), stream, frameHead('end', 0)]);

const damagedStream = fc.array(fc.tuple(fc.nat(sound.byteLength - 1), fc.nat(255)), { maxLength: 4 }).map((edits) => {
  const bytes = Buffer.from(sound);
  for (const [at, value] of edits) bytes[at] = value;
  return new Uint8Array(bytes);
});

const steps: fc.Arbitrary<BulkStep> = fc.record({
  to: fc.constantFrom('server', 'fetcher'),
  pieces: fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      damagedStream,
      fc.constantFrom<Uint8Array>(
        sound,
        frameHead('chunk', 0xffff_ffff),
        frameHead('chunk', 40),
        frameHead('end', 7),
        failedFrame('out of order'),
        Buffer.from(`${token.slice(0, 31)}\n`),
        Buffer.from('\n'),
        Buffer.from('GET / HTTP/1.1\r\n\r\n'),
        Buffer.alloc(5000, 0x61),
      ),
    ),
    { maxLength: 4 },
  ),
  ending: fc.constantFrom('close', 'reset'),
});

/** Feeds one history, and then fetches what was offered all the while. */
async function feed(history: readonly BulkStep[]): Promise<void> {
  const bulk = await openTcpBulk({ host, clock: new SystemClock(), idleMs });
  const ended: (Error | null)[] = [];
  bulk.offer(
    token,
    async function* () {
      yield stream;
    },
    60_000,
    (error) => ended.push(error),
  );
  const stranger = new Stranger();
  try {
    await stranger.listen();
    for (const step of history) {
      if (step.to === 'server') await withinTime(stranger.speak(bulk.port, step), 'our server left a connection open');
      else await withinTime(stranger.answer(bulk, step), 'our fetch hangs');
    }
    hold(ended.length === 0, 'the offer went to somebody who had no token');
    const fetched: Uint8Array[] = [];
    for await (const chunk of bulk.fetch(`${host}:${bulk.port}`, token, new AbortController().signal))
      fetched.push(chunk);
    hold(Buffer.concat(fetched).equals(stream), 'what was offered came otherwise');
  } finally {
    await stranger.close();
    await bulk.close();
  }
}

/** Both ends that aren't ours. */
class Stranger {
  readonly #server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    this.#serve(socket);
  });
  #serve: (socket: Socket) => void = (socket) => socket.destroy();
  #port = 0;

  async listen(): Promise<void> {
    this.#server.listen(0, host);
    await once(this.#server, 'listening');
    const bound = this.#server.address();
    this.#port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  }

  /** Says these bytes to our server, which closes, answers "failed" or drops the connection. */
  async speak(port: number, { pieces, ending }: BulkStep): Promise<void> {
    const socket = connect({ port, host });
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    await new Promise((resolve) => {
      socket.once('connect', resolve);
      socket.once('close', resolve);
    });
    for (const piece of pieces) socket.write(piece);
    if (ending === 'close') socket.end();
    else socket.resetAndDestroy();
    await closed;
  }

  /** Answers our fetch with these bytes: it ends in chunks or in a typed error, and nothing bad comes out as a delta. */
  async answer(bulk: TcpBulk, { pieces, ending }: BulkStep): Promise<void> {
    this.#serve = (socket) => {
      socket.resume();
      for (const piece of pieces) socket.write(piece);
      if (ending === 'close') socket.end();
      else socket.destroySoon();
    };
    const decoder = new DeltaStreamDecoder();
    try {
      for await (const chunk of bulk.fetch(`${host}:${this.#port}`, token, new AbortController().signal)) {
        const result = decoder.push(chunk);
        if (!result.ok) return; // the fetcher drops the connection here
      }
    } catch (error) {
      hold(error instanceof LockstepError, `a fetch ended in ${String(error)}`);
    }
  }

  async close(): Promise<void> {
    this.#server.close();
    await once(this.#server, 'close');
  }
}

async function withinTime(work: Promise<void>, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what}: not within ${stuckMs} ms`));
    }, stuckMs);
  });
  await Promise.race([work, late]).finally(() => {
    clearTimeout(timer);
  });
}

export const bulk: FuzzTarget = stepsTarget({
  name: 'bulk',
  about: 'bytes over TCP: to the server that offers streams, and as the answer to our own fetch',
  chunkInputs: 100,
  historyInputs: 20,
  shrinks: false,
  step: steps,
  feed,
});
