import { LockstepError } from '../protocol/kernel/errors.js';

/** What a caller can cancel. */
export interface Cancellable {
  /** Aborting it rejects with `aborted-by-caller`; the signal's reason is the `cause`. */
  readonly signal?: AbortSignal | undefined;
}

export function callerAborted(signal: AbortSignal | undefined): LockstepError {
  return new LockstepError('aborted-by-caller', 'the caller aborted', { cause: signal?.reason });
}

/** Throws `aborted-by-caller` when it is aborted already. */
export function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw callerAborted(signal);
}

/** Ends the wait, not the work: what was asked for goes on, and its end is nobody's any more. */
export async function unlessAborted<Value>(work: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) return work;
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = (): void => {
      reject(callerAborted(signal));
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
    work.catch(() => undefined);
  }
}
