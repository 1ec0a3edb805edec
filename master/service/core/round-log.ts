import type { NodeId, RoundId } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Member } from './members.js';
import type { RoundAccount, RoundVote } from './view.js';

/** What is on record about one round, without its name: the core's own times, in milliseconds of its clock. */
export interface LoggedRound extends Omit<RoundAccount, 'round' | 'startedAtMs' | 'decidedMs' | 'exposedMs'> {
  readonly epoch: RoundId['epoch'];
  /** Null: no round was opened for it, since it went in one phase or its voters couldn't be found. */
  readonly number: number | null;
  readonly startedMs: number;
  readonly decidedMs: number | null;
  /** When all voters had shown it. */
  readonly exposedMs: number | null;
}

/** The voters of a round. Rounds that follow each other have the same ones, and share this. */
interface VoterList {
  readonly members: readonly Member[];
  readonly placeOfSlot: ReadonlyMap<number, number>;
}

/** What is known of a round when it begins. */
type BegunRound = Pick<LoggedRound, 'epoch' | 'number' | 'version' | 'phases' | 'startedMs' | 'operations' | 'bytes'>;

/** The handle by which what happens to a round is noted. */
export interface RoundRecord extends BegunRound {
  readonly voters: VoterList;
  /** When each voter said yes, counted from the start; NaN: it hasn't. Four bytes for each of thousands of voters. */
  readonly yesAfterMs: Float32Array;
  refusals: readonly RoundVote[];
  outcome: LoggedRound['outcome'];
  reason: string | null;
  decidedMs: number | null;
  exposedMs: number | null;
  /** Voters that don't show it yet. */
  unexposed: number;
  activation: RoundAccount['activation'];
}

const noVoters: VoterList = { members: [], placeOfSlot: new Map() };

/**
 * The newest rounds, with their votes, for whoever wants to know what happened. It only notes what the core does:
 * nothing is decided by what stands here, and nothing of it is on disk.
 */
export class RoundLog {
  /** A ring: `#next` is where the next record goes, which is where the oldest one is. */
  readonly #ring: RoundRecord[] = [];
  #next = 0;
  #voters: VoterList = noVoters;
  /** Committed rounds that not all of their voters show yet, oldest first. */
  #unexposed: RoundRecord[] = [];
  /** The newest version that each slot is known to show. */
  readonly #shown = new Map<number, number>();

  begin(round: BegunRound, voters: readonly Member[]): RoundRecord {
    const list = this.#listOf(voters);
    const { epoch, number, version, phases, startedMs, operations, bytes } = round;
    const record: RoundRecord = {
      ...{ epoch, number, version, phases, startedMs, operations, bytes },
      voters: list,
      yesAfterMs: new Float32Array(list.members.length).fill(NaN),
      refusals: [],
      outcome: 'open',
      reason: null,
      decidedMs: null,
      exposedMs: null,
      unexposed: 0,
      activation: null,
    };
    this.#ring[this.#next] = record;
    this.#next = (this.#next + 1) % limits.loggedRounds;
    return record;
  }

  onYes(record: RoundRecord, slot: number, nowMs: number): void {
    const place = record.voters.placeOfSlot.get(slot);
    if (place !== undefined) record.yesAfterMs[place] = nowMs - record.startedMs;
  }

  onNo(record: RoundRecord, refusal: { readonly node: NodeId; readonly reason: string }, nowMs: number): void {
    const { node, reason } = refusal;
    record.refusals = [...record.refusals, { node, yes: false, reason, afterMs: nowMs - record.startedMs }];
  }

  /** A scheduled change is decided. */
  onArmed(
    record: RoundRecord,
    { atMs, of }: Pick<NonNullable<RoundAccount['activation']>, 'atMs' | 'of'>,
    nowMs: number,
  ): void {
    record.outcome = 'armed';
    record.decidedMs = nowMs;
    record.activation = { atMs, armed: 0, of };
  }

  onReported(record: RoundRecord, armed: number): void {
    if (record.activation !== null && record.activation.armed !== armed)
      record.activation = { ...record.activation, armed };
  }

  onCommitted(record: RoundRecord, nowMs: number): void {
    record.outcome = 'committed';
    record.decidedMs ??= nowMs;
    if (record.voters.members.length === 0) return; // in one phase nobody is asked, and nobody tells
    record.unexposed = record.voters.members.length;
    if (this.#unexposed.length === limits.unexposedRounds) this.#unexposed.shift();
    this.#unexposed.push(record);
  }

  onEnded(record: RoundRecord, outcome: 'aborted' | 'unknown', reason: string, nowMs: number): void {
    record.outcome = outcome;
    record.reason = reason;
    record.decidedMs = nowMs;
  }

  /** The member's copy is on this master's chain, and shows this version of it. */
  onShown(slot: number, version: number, nowMs: number): void {
    const before = this.#shown.get(slot) ?? 0;
    if (version <= before) return;
    this.#shown.set(slot, version);
    let isSettled = false;
    for (const record of this.#unexposed) {
      if (record.version > version) break;
      if (record.version <= before || !record.voters.placeOfSlot.has(slot)) continue;
      record.unexposed -= 1;
      if (record.unexposed > 0) continue;
      record.exposedMs = nowMs;
      isSettled = true;
    }
    if (isSettled) this.#unexposed = this.#unexposed.filter(({ exposedMs }) => exposedMs === null);
  }

  /** Newest first. */
  newest(limit: number): readonly LoggedRound[] {
    const count = Math.min(limit, this.#ring.length);
    return Array.from({ length: count }, (_, age) => {
      const place = (this.#next - 1 - age + 2 * this.#ring.length) % this.#ring.length;
      return loggedRound(this.#ring[place] as RoundRecord);
    });
  }

  #listOf(voters: readonly Member[]): VoterList {
    if (voters.length === 0) return noVoters;
    const { members } = this.#voters;
    if (members.length !== voters.length || !voters.every((voter, place) => voter === members[place])) {
      this.#voters = { members: voters, placeOfSlot: new Map(voters.map(({ slot }, place) => [slot, place])) };
    }
    return this.#voters;
  }
}

function loggedRound(record: RoundRecord): LoggedRound {
  const { epoch, number, version, phases, startedMs, outcome, reason, decidedMs, exposedMs, operations, bytes } =
    record;
  const { activation } = record;
  const votes: RoundVote[] = [];
  const missing: NodeId[] = [];
  record.voters.members.forEach(({ node }, place) => {
    const afterMs = record.yesAfterMs[place] ?? NaN;
    if (!Number.isNaN(afterMs)) votes.push({ node, yes: true, reason: '', afterMs });
    else if (!record.refusals.some((refusal) => refusal.node === node)) missing.push(node);
  });
  votes.push(...record.refusals);
  votes.sort((a, b) => a.afterMs - b.afterMs);
  return {
    ...{ epoch, number, version, phases, startedMs, outcome, reason, decidedMs, exposedMs, operations, bytes },
    ...{ votes, missing, activation },
  };
}
