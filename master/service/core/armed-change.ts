import type { VoteTally } from '../../../shared/protocol/kernel/outcome.js';
import type { Token } from './io.js';
import type { ArmedRecord } from './records.js';
import type { RoundRecord } from './round-log.js';
import type { Round } from './round.js';

/**
 * A scheduled change after its decision.
 *
 * armed → activating → (committed), or armed ⇄ cancelling → withdrawing → (aborted).
 *
 * `cancelling`: those that may be armed are asked to take it back; `withdrawing`: all have, and the end is on its way to
 * disk; `activating`: the instant has come, it is exposed, and the commit is on its way to disk.
 */
type ArmedPhase = 'armed' | 'cancelling' | 'withdrawing' | 'activating';

interface Cancelling {
  readonly commands: Token[];
  readonly sinceMs: number;
  readonly untilMs: number;
}

export interface Armed {
  readonly record: ArmedRecord;
  readonly log: RoundRecord;
  readonly delivery: Pick<Round['replication'], 'commitBy' | 'abortBy'>;
  readonly votes: VoteTally;
  readonly startedMs: number;
  phase: ArmedPhase;
  order: number;
  /** Who waits for it: until all are armed, or until all expose it. */
  caller: { readonly command: Token; readonly wait: 'decided' | 'exposed' } | null;
  /** A caller that waits for the arming is told how far it got. */
  readonly settleByMs: number;
  cancelling: Cancelling | null;
  write: Token | null;
  retryMs: number;
  retryDelayMs: number;
  /** Until then the note is repeated by itself; from then on by heartbeats alone. */
  retryUntilMs: number;
  /** Somebody's copy shows it: the instant has come, whatever this clock says. */
  isShownElsewhere: boolean;
  wasArmedEverywhere: boolean;
}

export function recordOf(round: Round, activateAtMs: number): ArmedRecord {
  return {
    round: { epoch: round.epoch, number: round.number },
    change: round.change,
    activateAtMs,
    voters: [...round.voters.values()].filter(({ slot }) => round.yes.has(slot)).map(({ node }) => node),
    operations: round.replication.operations ?? null,
  };
}

/** Who is armed is to stay so. */
export function isToSwitch({ phase }: Armed): boolean {
  return phase === 'armed' || phase === 'activating';
}
