import type { Clock } from './ports.js';

const everyMs = 1000;

/** The same chunks; tells now and then, and at the end, how many bytes have come and how long it took so far. */
export async function* withProgress(
  chunks: AsyncIterable<Uint8Array>,
  clock: Clock,
  report: (progress: { readonly bytes: number; readonly ms: number }) => void,
): AsyncGenerator<Uint8Array, void, void> {
  const startedMs = clock.monotonicMs();
  let reportedMs = startedMs;
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.byteLength;
    const nowMs = clock.monotonicMs();
    if (nowMs - reportedMs >= everyMs) {
      reportedMs = nowMs;
      report({ bytes, ms: Math.round(nowMs - startedMs) });
    }
    yield chunk;
  }
  report({ bytes, ms: Math.round(clock.monotonicMs() - startedMs) });
}
