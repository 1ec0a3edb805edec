import { errorText } from '../protocol/kernel/errors.js';
import { limits } from '../protocol/kernel/limits.js';
import type { Address, Bulk, Clock } from './ports.js';

/** The same host, another port: bulk streams are served beside the datagrams. */
export function withPort(address: Address, port: number): Address {
  return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
}

export interface StreamOffer {
  readonly bulk: Bulk;
  readonly token: string;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** The same for streams that read one source together. */
  readonly group?: object;
  /** Called exactly once. */
  readonly ended: (error: Error | null) => void;
}

/**
 * Offers a stream whose source exists already: a snapshot is pinned when it is made, not when it is fetched. Its first
 * chunk is asked for at once, since a generator function does nothing before that. A stream that nobody fetched, or
 * that was cut, is returned, so that its source can let go of what it holds.
 */
export function offerStream(offer: StreamOffer): void {
  const iterator = offer.chunks[Symbol.asyncIterator]();
  const first = iterator.next();
  // Told by the stream itself when it is fetched; an offer that nobody fetches must not end the process.
  first.catch(() => undefined);
  let finished = false;
  async function* stream(): AsyncIterable<Uint8Array> {
    let result = await first;
    while (result.done !== true) {
      yield result.value;
      result = await iterator.next();
    }
    finished = true;
  }
  const ended = (error: Error | null): void => {
    if (!finished) release(iterator);
    offer.ended(error);
  };
  offer.bulk.offer(offer.token, stream, limits.bulkOfferMs, ended, offer.group);
}

function release(iterator: AsyncIterator<Uint8Array>): void {
  iterator.return?.().catch(() => undefined);
}

export interface StreamFetch {
  readonly bulk: Bulk;
  readonly clock: Clock;
  readonly address: Address;
  readonly token: string;
  readonly controller: AbortController;
}

/** Fetches, and gives up on a peer that is silent for too long: a transfer that never ends would block the copy. */
export async function* fetchStream(fetch: StreamFetch): AsyncIterable<Uint8Array> {
  const { clock, controller } = fetch;
  const iterator = fetch.bulk.fetch(fetch.address, fetch.token, controller.signal)[Symbol.asyncIterator]();
  let finished = false;
  try {
    for (;;) {
      const disarm = clock.at(clock.monotonicMs() + limits.bulkIdleMs, () => {
        controller.abort(new Error(`nothing came from ${fetch.address} for ${limits.bulkIdleMs} ms`));
      });
      const result = await iterator.next().finally(disarm);
      if (result.done === true) break;
      yield result.value;
    }
    finished = true;
  } finally {
    if (!finished) {
      controller.abort(new Error('the reader has gone'));
      release(iterator);
    }
  }
}

export function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(errorText(cause));
}
