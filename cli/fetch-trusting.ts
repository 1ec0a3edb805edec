import { request } from 'node:https';

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
          const parts: Buffer[] = [];
          answer.on('data', (part: Buffer) => parts.push(part));
          answer.on('error', fail);
          answer.on('end', () => {
            resolve(new Response(Buffer.concat(parts), { status: answer.statusCode ?? 500 }));
          });
        },
      );
      asked.on('error', fail);
      asked.end(typeof init.body === 'string' ? init.body : undefined);
    });
}
