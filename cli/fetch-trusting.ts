import { request } from 'node:https';
import { Readable } from 'node:stream';

/** A `fetch` that checks servers with these certificates: the built-in one has no option for it. */
export function fetchTrusting(ca: Buffer): typeof fetch {
  return async (input, init = {}) =>
    new Promise((resolve, reject) => {
      const url = input instanceof Request ? input.url : input;
      const headers = Object.fromEntries(new Headers(init.headers));
      const { signal } = init;
      // What a caller looks for is in the cause, as with the built-in one.
      const fail = (error: Error): void => {
        reject(
          signal?.aborted === true && signal.reason instanceof Error
            ? signal.reason
            : new TypeError('fetch failed', { cause: error }),
        );
      };
      const asked = request(
        url,
        { method: init.method ?? 'GET', headers, ca, signal: signal ?? undefined },
        (answer) => {
          const { statusCode = 500 } = answer;
          const answered = Object.entries(answer.headers).flatMap(([name, value]): [string, string][] =>
            value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
          );
          // As it comes: a feed never ends by itself.
          const body = Readable.toWeb(answer) as ReadableStream<Uint8Array>;
          resolve(new Response(statusCode === 204 ? null : body, { status: statusCode, headers: answered }));
        },
      );
      asked.on('error', fail);
      asked.end(typeof init.body === 'string' ? init.body : undefined);
    });
}
