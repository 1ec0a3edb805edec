import { LockstepError } from '../protocol/kernel/errors.js';

/**
 * Moments between two steps that must survive a crash, each by the name of what has just happened. For tests and the
 * demo only: a process that was told a name kills itself there as `kill -9` would, so that nothing after it happens:
 * no handler runs, no packet leaves, no file is closed.
 */
export const crashPointNames = [
  /** Master: a commit decision is on disk, and nothing of it was shown to readers or sent. */
  'after-decision',
] as const;

export type CrashPointName = (typeof crashPointNames)[number];

/** The environment variable that the binaries read: `NAME`, or `NAME:3` for the third time that it is reached. */
export const crashPointVariable = 'LOCKSTEP_CRASH_AT';

/** One armed point. A process that isn't under test has none. */
export class CrashPoint {
  readonly name: CrashPointName;
  readonly #die: () => void;
  #passesLeft: number;

  /** `occurrence` counts from 1, since the process started. */
  constructor(name: CrashPointName, occurrence: number, die: () => void) {
    this.name = name;
    this.#passesLeft = occurrence - 1;
    this.#die = die;
  }

  /** Returns, unless this is the time. */
  reached(name: CrashPointName): void {
    if (name !== this.name) return;
    if (this.#passesLeft > 0) this.#passesLeft -= 1;
    else this.#die();
  }
}

/** Undefined when the variable is unset or empty. Throws `bad-option` for a name or a count that is none. */
export function crashPointOf(text: string | undefined, die: () => void = killSelf): CrashPoint | undefined {
  if (text === undefined || text === '') return undefined;
  const [word, count = '1', ...rest] = text.split(':');
  const name = crashPointNames.find((known) => known === word);
  const occurrence = Number(count);
  if (name === undefined || rest.length > 0 || !Number.isSafeInteger(occurrence) || occurrence < 1) {
    const choice = crashPointNames.join(', ');
    throw new LockstepError(
      'bad-option',
      `${crashPointVariable} '${text}' is no crash point; give NAME or NAME:COUNT, with NAME one of ${choice}, or unset it`,
    );
  }
  return new CrashPoint(name, occurrence, die);
}

/** The signal can't be caught, and a process's own is delivered before the call returns. */
function killSelf(): void {
  process.kill(process.pid, 'SIGKILL');
}
