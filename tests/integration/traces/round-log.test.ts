import { describe, expect, it } from 'vitest';
import { leading } from '../harness/leading.js';

/** What the master's core puts on record about its rounds; `rounds()` and `/v1/rounds` show it. */

describe('the account of a round', () => {
  it('has who said yes, when it was decided, and when all showed it', () => {
    const group = leading(['a', 'b']);
    group.replicate(1, { operations: 4 });
    group.run(1000);
    const [round] = group.master.core.rounds(10);
    expect(round).toMatchObject({ version: 1, phases: 'two', outcome: 'committed', reason: null, operations: 4 });
    expect(round?.votes.map(({ node, yes }) => [node, yes])).toEqual([
      ['a', true],
      ['b', true],
    ]);
    expect(round?.missing).toEqual([]);
    expect(round?.number).toBe(1);
    expect(round?.decidedMs).toBeGreaterThanOrEqual(round?.startedMs ?? Infinity);
    expect(round?.exposedMs).toBeGreaterThanOrEqual(round?.decidedMs ?? Infinity);
  });

  it('has the veto, with its reason', () => {
    const group = leading(['a', 'b']);
    group.slave('b').veto = () => ({ kind: 'refused', reason: 'cents must be positive', refused: [0] });
    group.replicate(1);
    expect(group.master.core.rounds(10)).toMatchObject([
      { outcome: 'aborted', reason: 'refused', votes: expect.arrayContaining([expect.objectContaining({ node: 'b', yes: false, reason: 'cents must be positive' })]) as unknown },
    ]);
  });

  it('is open while a vote is missing, and says whose; a roll-back and a deadline end it', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet) => !(packet.message.kind === 'vote' && packet.from.node === 'b');
    group.replicate(1);
    expect(group.master.core.rounds(10)).toMatchObject([{ outcome: 'open', decidedMs: null, votes: [{ node: 'a' }], missing: ['b'] }]);
    group.command({ kind: 'rollBack', command: 901, version: 1 });
    expect(group.master.core.rounds(10)).toMatchObject([{ outcome: 'aborted', reason: 'rolled back', missing: ['b'] }]);
    group.replicate(2, { timeoutMs: 50 });
    group.run(100);
    expect(group.master.core.rounds(1)).toMatchObject([{ version: 2, outcome: 'aborted', reason: 'timeout', missing: ['b'] }]);
  });

  it('names what went down with it', () => {
    const group = leading(['a'], { maxOpenRounds: 4 });
    group.passes = (packet) => packet.message.kind !== 'vote';
    group.replicate(1);
    group.replicate(2);
    group.command({ kind: 'rollBack', command: 901, version: 1 });
    expect(group.master.core.rounds(10).map(({ version, reason }) => [version, reason])).toEqual([
      [2, 'prior aborted'],
      [1, 'rolled back'],
    ]);
  });

  it('says so when one left before it voted', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet) => !(packet.message.kind === 'vote' && packet.from.node === 'b');
    group.replicate(1);
    group.command({ kind: 'forget', command: 901, node: 'b' });
    expect(group.master.core.rounds(1)).toMatchObject([
      { outcome: 'aborted', reason: 'refused', votes: [{ node: 'a', yes: true }, { node: 'b', yes: false, reason: 'forgotten by the operator' }] },
    ]);
  });

  it('has changes in one phase, and those that too few could vote on, without a number', () => {
    const group = leading(['a']);
    group.replicate(1, { phases: 'one' });
    group.replicate(2, { voters: 2 });
    expect(group.master.core.rounds(10)).toMatchObject([
      { number: null, version: 2, phases: 'two', outcome: 'aborted', reason: 'too few voters', votes: [] },
      { number: null, version: 1, phases: 'one', outcome: 'committed', reason: null, votes: [], missing: [] },
    ]);
  });

  it('is unknown when the disk fails under the decision', () => {
    const group = leading(['a']);
    group.masterWriteError = () => 'EIO';
    group.replicate(1);
    expect(group.master.core.rounds(1)).toMatchObject([{ outcome: 'unknown', reason: 'the store failed: EIO' }]);
  });
});
