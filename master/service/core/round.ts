import type { Delta, Epoch, Tip } from '../../../shared/protocol/kernel/ids.js';
import type { NodeRefusal, Replication, VoteTally } from '../../../shared/protocol/kernel/outcome.js';
import type { Content } from '../../../shared/protocol/wire/messages.js';
import type { Token } from './io.js';
import type { Member } from './members.js';
import type { RoundRecord } from './round-log.js';

/**
 * One two-phase attempt at the master.
 *
 * preparing → waiting → deciding → (committed), or → (aborted) from the first two.
 *
 * `preparing`: votes are missing; `waiting`: all votes are in, and a lease of a node that didn't vote yes may still run;
 * `deciding`: the decision is on its way to disk, and can't be taken back any more.
 */
export interface Round {
  readonly epoch: Epoch;
  readonly number: number;
  readonly command: Token;
  readonly replication: Replication;
  readonly from: Tip | null;
  readonly change: Delta;
  readonly content: Content;
  readonly voters: ReadonlyMap<number, Member>;
  readonly voterBitmap: Uint8Array;
  readonly yes: Set<number>;
  readonly refusals: NodeRefusal[];
  readonly startedMs: number;
  deadlineMs: number;
  phase: 'preparing' | 'waiting' | 'deciding';
  retryMs: number;
  retryDelayMs: number;
  /** "At least n", at its deadline: those who are silent are left out. */
  without: boolean;
  write: Token | null;
  /** Its account, for people. */
  readonly record: RoundRecord;
}

export function missingVoters(round: Round): Member[] {
  const missing: Member[] = [];
  for (const [slot, member] of round.voters) if (!round.yes.has(slot)) missing.push(member);
  return missing;
}

export function tallyOf(round: Round): VoteTally {
  const no = round.refusals.length;
  return { yes: round.yes.size, no, silent: Math.max(0, round.voters.size - round.yes.size - no) };
}
