import { CommanderError } from 'commander';
import {
  errorText,
  exitCodes,
  LockstepError,
  type ErrorCode,
  type ExitCode,
} from '../shared/protocol/kernel/errors.js';

/** How a process ends for each code; codes that aren't here can only come from our own bug. */
const exitOfCode: Partial<Record<ErrorCode, ExitCode>> = {
  'bad-option': exitCodes.usage,
  'bad-input': exitCodes.usage,
  'bad-operation': exitCodes.usage,
  'wrong-kind': exitCodes.usage,
  'change-too-large': exitCodes.usage,
  'data-set-unknown': exitCodes.usage,
  'data-set-registered': exitCodes.usage,
  'member-unknown': exitCodes.notFound,
  'round-unknown': exitCodes.notFound,
  'history-pruned': exitCodes.notFound,
  'write-at-slave': exitCodes.usage,
  'already-decided': exitCodes.usage,
  'instant-too-early': exitCodes.usage,
  'instant-too-late': exitCodes.usage,
  'condition-failed': exitCodes.aborted,
  'aborted-by-caller': exitCodes.aborted,
  'timed-out': exitCodes.unknown,
  'address-in-use': exitCodes.addressInUse,
  'store-unusable': exitCodes.storeUnusable,
  'store-format': exitCodes.storeFormat,
  'store-foreign': exitCodes.storeFormat,
  'cloned-store': exitCodes.nameTaken,
  'name-taken': exitCodes.nameTaken,
  'refused-by-group': exitCodes.refusedToLead,
  'stepped-down': exitCodes.steppedDown,
  'user-layer-failed': exitCodes.storeFailed,
  unreachable: exitCodes.unreachable,
  'not-leading': exitCodes.unreachable,
  'not-current': exitCodes.unreachable,
  'queue-full': exitCodes.unreachable,
  closed: exitCodes.unreachable,
};

export interface Ending {
  readonly exitCode: ExitCode;
  /** What to print on stderr; empty when it was printed already. */
  readonly text: string;
}

/** The one line that says what was wrong and what to do. Only our own bug shows more, so that it can be reported. */
export function endingOf(error: unknown): Ending {
  if (error instanceof CommanderError) {
    // Commander printed it. Help that was asked for isn't an error; help in place of a command is.
    return { exitCode: error.exitCode === 0 ? exitCodes.ok : exitCodes.usage, text: '' };
  }
  if (error instanceof LockstepError) {
    const exitCode = exitOfCode[error.code];
    if (exitCode !== undefined) return { exitCode, text: `lockstep: ${oneLine(error.message)}\n` };
  }
  const version = process.version;
  return {
    exitCode: exitCodes.bug,
    text: `lockstep: this is a bug: ${oneLine(errorText(error))} (node ${version}); please report it with what you ran\n`,
  };
}

export function oneLine(text: string): string {
  return text.trim().replace(/\s*[\r\n]+\s*/g, ' ');
}
