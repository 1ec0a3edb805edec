import { errorText, LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { Clock } from '../../shared/runtime/ports.js';
import { fingerprintOf, listFolder, type FolderSource } from './directory-scan.js';
import type { PublishOutcome, WatchOptions, WatchOutcome } from './directory-types.js';

export interface Watched {
  readonly source: FolderSource;
  readonly clock: Clock;
  readonly publish: () => Promise<PublishOutcome>;
}

const defaultIntervalMs = 1000;
/** What ran out of time, or couldn't be tried, is tried again so long after: whoever was silent may be back. */
const retryMs = 10_000;

/**
 * Looks at the folder now and then, and publishes what has come to rest: two looks in a row that find it alike. Looking is
 * slower than being told by the system, and works the same on every file system, with any number of folders, and after a
 * start. The same failure is told once.
 */
export async function* watchFolder(watched: Watched, options: WatchOptions): AsyncGenerator<WatchOutcome, void, void> {
  const { signal, intervalMs = defaultIntervalMs } = options;
  if (!(intervalMs > 0)) throw new LockstepError('bad-option', `intervalMs must be greater than 0, not ${intervalMs}`);
  let before: string | null = null;
  /** What was published or refused last: nothing is to be done about it. */
  let settled: string | null = null;
  let retryAtMs = Infinity;
  let complained = '';
  while (!isAborted(signal)) {
    let outcome: WatchOutcome | null = null;
    try {
      const found = fingerprintOf(await listFolder(watched.source));
      const isDue = found !== settled || watched.clock.monotonicMs() >= retryAtMs;
      if (found === before && isDue) {
        // A failure leaves this time in place.
        retryAtMs = watched.clock.monotonicMs() + retryMs;
        settled = found;
        outcome = await watched.publish();
        if (!mayEndOtherwise(outcome)) retryAtMs = Infinity;
      }
      before = found;
    } catch (error) {
      outcome = { kind: 'failed', error: error instanceof Error ? error : new Error(errorText(error)) };
    }
    if (isAborted(signal)) return;
    const complaint = complaintOf(outcome);
    const isNews = outcome !== null && outcome.kind !== 'unchanged' && (complaint === '' || complaint !== complained);
    if (outcome !== null) complained = complaint;
    if (outcome !== null && isNews) yield outcome;
    if (outcome?.kind === 'failed' && outcome.error instanceof LockstepError && outcome.error.code === 'closed') return;
    await pause(watched.clock, intervalMs, signal);
  }
}

/** What is told once, however often it comes in a row; empty: there is nothing of the kind. */
function complaintOf(outcome: WatchOutcome | null): string {
  if (outcome?.kind === 'failed') return outcome.error.message;
  return outcome?.kind === 'aborted' && outcome.reason === 'behind an armed change' ? outcome.reason : '';
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** A no is one until the folder changes. Silence may be over soon. */
function mayEndOtherwise(outcome: PublishOutcome): boolean {
  return outcome.kind === 'unknown' || (outcome.kind === 'aborted' && outcome.reason !== 'refused');
}

/** Resolves when the time is over, or when the signal aborts. */
export function pause(clock: Clock, pauseMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.at(clock.monotonicMs() + pauseMs, end);
    signal?.addEventListener('abort', end, { once: true });
  });
}
