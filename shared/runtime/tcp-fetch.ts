import { connect, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import type { GroupKeys } from '../protocol/secure/keys.js';
import { parseHostPort } from './addresses.js';
import type { Address } from './ports.js';
import { FrameReader } from './tcp-frames.js';
import { connectSecurely, isProven } from './tcp-secure.js';

/**
 * The fetching side of a bulk stream. Nothing is read that wasn't asked for, beyond what the system buffers: a slow
 * consumer slows the source. Ends with a `LockstepError`: `unreachable` (no connection, cut, token unknown, the sender
 * failed), `timed-out` (silence), `aborted-by-caller`, `closed`, `bad-input` (no stream of ours, or no address).
 */
export async function* fetchOverTcp(options: {
  readonly address: Address;
  readonly token: string;
  readonly signal: AbortSignal;
  /** Aborted with the error to report when the node closes. */
  readonly closing: AbortSignal;
  readonly idleMs: number;
  /** Null: in the clear. */
  readonly keys: GroupKeys | null;
}): AsyncGenerator<Uint8Array, void, undefined> {
  const { address, signal, closing } = options;
  const target = parseHostPort(address);
  if (target === null || target.port === 0)
    throw new LockstepError('bad-input', `'${address}' is no address to fetch from`);
  if (signal.aborted) throw abortedError(signal);
  const { host, port } = target;
  const socket = options.keys === null ? connect({ host, port, noDelay: true }) : connectSecurely(target, options.keys);
  const breakOff = (): void => {
    socket.destroy(abortedError(signal));
  };
  const shut = (): void => {
    socket.destroy(closing.reason instanceof Error ? closing.reason : new LockstepError('closed', 'the node closed'));
  };
  // Told by the read that fails; a consumer that is busy meanwhile must not end the process.
  socket.on('error', () => undefined);
  signal.addEventListener('abort', breakOff, { once: true });
  closing.addEventListener('abort', shut, { once: true });
  try {
    socket.write(`${options.token}\n`);
    yield* frames(socket, options);
  } finally {
    signal.removeEventListener('abort', breakOff);
    closing.removeEventListener('abort', shut);
    socket.destroy();
  }
}

async function* frames(
  socket: Socket,
  options: { readonly address: Address; readonly idleMs: number; readonly keys: GroupKeys | null },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { address, idleMs, keys } = options;
  // A slave takes a stream from a master alone; a master that adopts a slave's copy takes it as it is.
  let mustProve = keys?.role === 'slave';
  const reader = new FrameReader();
  socket.on('timeout', () => {
    socket.destroy(new LockstepError('timed-out', `nothing came from ${address} for ${idleMs} ms`));
  });
  const pieces = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  for (;;) {
    if (socket.errored !== null) throw asLockstepError(socket.errored, address);
    const frame = reader.read();
    if (frame?.kind === 'proof') {
      if (keys === null || !(socket instanceof TLSSocket) || !isProven(socket, keys, frame.bytes))
        throw unproven(address);
      mustProve = false;
    } else if (frame !== null && mustProve) {
      throw unproven(address);
    } else if (frame?.kind === 'chunk') {
      yield frame.bytes;
    } else if (frame?.kind === 'end') {
      // Tells the sender that everything arrived; what it says after that nobody reads.
      await finished(socket);
      return;
    } else if (frame?.kind === 'failed') {
      throw new LockstepError('unreachable', `${address}: ${frame.reason}`);
    } else {
      const piece = await nextPiece(socket, pieces, options);
      reader.push(piece);
    }
  }
}

function unproven(address: Address): LockstepError {
  return new LockstepError(
    'unreachable',
    `what answers at ${address} holds the group's key, and didn't prove to be a master`,
  );
}

/** Only the wait for the sender is limited: a consumer may take its time. */
async function nextPiece(
  socket: Socket,
  pieces: AsyncIterator<Buffer>,
  options: { readonly address: Address; readonly idleMs: number },
): Promise<Uint8Array> {
  socket.setTimeout(options.idleMs);
  try {
    const result = await pieces.next();
    if (result.done === true)
      throw new LockstepError('unreachable', `${options.address} cut the stream before its end`);
    return new Uint8Array(result.value.buffer, result.value.byteOffset, result.value.byteLength);
  } catch (error) {
    throw asLockstepError(error, options.address);
  } finally {
    socket.setTimeout(0);
  }
}

function asLockstepError(error: unknown, address: Address): LockstepError {
  if (error instanceof LockstepError) return error;
  return new LockstepError('unreachable', `the stream from ${address} broke: ${errorText(error)}`, { cause: error });
}

function finished(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else {
      socket.once('close', resolve);
      socket.end(resolve);
    }
  });
}

function abortedError(signal: AbortSignal): LockstepError {
  return new LockstepError('aborted-by-caller', `the fetch was aborted: ${errorText(signal.reason)}`, {
    cause: signal.reason,
  });
}
