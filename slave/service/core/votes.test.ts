import { describe, expect, it } from 'vitest';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { DataSetId, NodeId, RoundId, Tip, Version } from '../../../shared/protocol/kernel/ids.js';
import type { Vote } from '../../../shared/protocol/wire/messages.js';
import { SlaveContext } from './context.js';
import { Votes } from './votes.js';

const epoch = { number: 1, claimant: 'c'.repeat(32) };

function voteOn(number: number): Vote {
  const round: RoundId = { epoch, number };
  const to: Tip = { epoch, version: number as Version, chain: 'a'.repeat(32) as Tip['chain'] };
  return { kind: 'vote', round, to, upToDate: true, canProcess: true, reason: '', exposed: 0, refused: [] };
}

class Voter {
  readonly context: SlaveContext;
  readonly votes: Votes;

  constructor(seed: number, groupSize: number) {
    const incarnation = { storeId: 'a'.repeat(32), start: 1 };
    this.context = new SlaveContext({
      dataSet: 'd' as DataSetId,
      node: 's' as NodeId,
      incarnation,
      seed,
      durability: 'disk',
      maxLeaseMs: 5000,
      windowBytes: 1,
    });
    this.context.master = { node: 'm' as NodeId, incarnation };
    this.context.groupSize = groupSize;
    this.votes = new Votes(this.context, (vote) => this.context.sendToMaster(vote));
  }

  get sent(): number {
    return this.context.takeEffects().length;
  }

  /** When the vote leaves, counted from now. */
  leavesAfterMs(number: number): number {
    this.votes.send(voteOn(number));
    if (this.sent === 1) return 0;
    this.context.nowMs = this.context.timers.next();
    this.votes.onTick(() => true);
    expect(this.sent).toBe(1);
    return this.context.nowMs;
  }
}

describe('votes', () => {
  it('leave at once in a group whose votes fit into a receive buffer together', () => {
    const times = Array.from({ length: limits.promptVoters }, (_, seed) =>
      new Voter(seed, limits.promptVoters).leavesAfterMs(1),
    );
    expect(times.every((time) => time === 0)).toBe(true);
  });

  it('of a thousand are spread: a master never gets more at a time than its buffer holds and it reads', () => {
    const times = Array.from({ length: 1000 }, (_, seed) => new Voter(seed, 1000).leavesAfterMs(1));
    const spreadMs = (1000 - limits.promptVoters) / limits.votesPerMs;
    expect(Math.max(...times)).toBeLessThanOrEqual(spreadMs);
    const waiting: number[] = [];
    for (let atMs = 1; atMs <= spreadMs; atMs += 1) {
      const came = times.filter((time) => time <= atMs).length;
      waiting.push(came - atMs * limits.votesPerMs);
    }
    expect(Math.max(...waiting)).toBeLessThanOrEqual(limits.promptVoters);
    expect(Math.max(...times), 'no longer than it takes').toBeGreaterThan(spreadMs / 2);
  });

  it('go once, however often the prepare comes meanwhile, and not for a round that has ended', () => {
    const voter = new Voter(1, 1000);
    for (let time = 0; time < 3; time += 1) voter.votes.send(voteOn(1));
    voter.votes.send(voteOn(2));
    voter.context.nowMs = 1000;
    voter.votes.onTick(({ number }) => number === 1);
    expect(voter.sent).toBe(1);
    voter.votes.send(voteOn(2));
    expect(voter.context.timers.next()).toBeLessThan(Infinity);
  });

  it('end with the reign that asked for them', () => {
    const voter = new Voter(1, 1000);
    voter.votes.send(voteOn(1));
    voter.votes.clear();
    expect(voter.context.timers.next()).toBe(Infinity);
    voter.context.nowMs = 1000;
    voter.votes.onTick(() => true);
    expect(voter.sent).toBe(0);
  });
});
