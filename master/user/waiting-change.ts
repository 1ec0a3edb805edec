import type { CheckedChange } from '../../shared/protocol/key-value/validate.js';
import type { ChangeOptions, ChangeOutcome, ChangeRefusal, ScheduledChangeOutcome } from './key-value-types.js';

/** As the caller gave them, with the instant fixed. */
export type QueuedOptions = Omit<ChangeOptions, 'activateAt'> & {
  /** Group time, whole milliseconds. */
  readonly activateAtMs?: number | undefined;
};

/** One caller's change on its way to an outcome, through as many rounds as that takes. */
export interface WaitingChange extends CheckedChange {
  /** Rises with each change: what goes again keeps its place before what came later. */
  readonly order: number;
  /** Encoded once; rounds are put together of segments. */
  readonly segment: Uint8Array;
  readonly operations: number;
  readonly phases: NonNullable<ChangeOptions['phases']>;
  readonly options: QueuedOptions;
  readonly submittedMs: number;
  readonly deadlineMs: number;
  /** Halves of a round that was refused without names go again apart: only with changes of the same number. */
  part: number | null;
  cancelled: boolean;
  settle(outcome: ScheduledChangeOutcome): void;
  fail(error: unknown): void;
}

/** A round in flight. */
export interface OpenRound {
  readonly version: number;
  readonly prior: number;
  readonly members: readonly WaitingChange[];
  readonly bytes: Uint8Array;
  readonly controller: AbortController | null;
  /** What it makes of the keys it touches (false: gone); made when a condition asks. */
  touched: ReadonlyMap<string, boolean> | null;
  /** Decided and exposed; its callers may still wait for `exposed`. */
  decided: boolean;
  /** Its callers know that it is armed; it is in flight until its instant. */
  armed: boolean;
}

/** Changes share a round only when they ask for the same kind of round. */
export function sameOptions(a: QueuedOptions, b: QueuedOptions): boolean {
  return (
    a.phases === b.phases &&
    a.timeoutMs === b.timeoutMs &&
    a.voters === b.voters &&
    a.commitBy === b.commitBy &&
    a.abortBy === b.abortBy &&
    a.wait === b.wait &&
    a.activateAtMs === b.activateAtMs
  );
}

/** What keys a change leaves behind, into `touched`. */
export function addTouched(touched: Map<string, boolean>, change: CheckedChange): void {
  const { keys, deletes } = change.columns;
  let nextDelete = 0;
  for (let position = 0; position < keys.length; position += 1) {
    const isDelete = deletes[nextDelete] === position;
    if (isDelete) nextDelete += 1;
    touched.set(keys[position] as string, !isDelete);
  }
}

export function touchedByAll(members: readonly CheckedChange[]): Map<string, boolean> {
  const touched = new Map<string, boolean>();
  for (const member of members) addTouched(touched, member);
  return touched;
}

export function touchedBy(round: OpenRound): ReadonlyMap<string, boolean> {
  return (round.touched ??= touchedByAll(round.members));
}

export function abortedOutcome(
  reason: Exclude<Extract<ChangeOutcome, { kind: 'aborted' }>['reason'], 'condition failed'>,
  durationMs: number,
  refusals: readonly ChangeRefusal[] = [],
): ChangeOutcome {
  return { kind: 'aborted', reason, refusals, durationMs };
}
