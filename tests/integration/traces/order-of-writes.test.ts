import { describe, expect, it } from 'vitest';
import { leading } from '../harness/leading.js';

/** What a node says, and what it had to have on disk before it said it. */

describe('durable, then said', () => {
  it('no yes leaves before the prepared record is on disk, however often the prepare comes (G2)', () => {
    const group = leading(['a', 'b']);
    group.slaveWrites = (name) => name !== 'a';
    const command = group.replicate(1, { timeoutMs: 400 });
    group.run(300);
    const prepares = group.sent.filter(({ message, to }) => message.kind === 'prepare' && to !== 'all' && to.node === 'a');
    expect(prepares.length, 'asked again').toBeGreaterThan(1);
    const votes = group.sent.filter(({ message }) => message.kind === 'vote').map(({ from }) => from.node);
    expect(votes).toContain('b');
    expect(votes).not.toContain('a');
    group.run(200);
    expect(group.results.get(command)).toMatchObject({ kind: 'aborted', reason: 'timeout', refusals: [{ node: 'a' }] });
  });

  it('no commit leaves, and nothing shows it, before the decision is on disk (G3)', () => {
    const group = leading(['a', 'b']);
    group.masterWrites = () => false;
    const before = group.sent.length;
    const command = group.replicate(1, { timeoutMs: 500 });
    group.run(5000);
    const said = group.sent.slice(before).filter(({ from }) => from.node === 'master').map(({ message }) => message);
    expect(said.some(({ kind }) => kind === 'prepare')).toBe(true);
    expect(said.filter(({ kind }) => kind === 'commit' || kind === 'abort'), 'neither: the record may be on disk by now').toEqual([]);
    for (const message of said) {
      if (message.kind === 'heartbeat') expect([message.tip, message.recentDecisions]).toEqual([null, []]);
      if (message.kind === 'resolution') expect(message.outcome).not.toBe('committed');
    }
    expect(group.results.has(command)).toBe(false);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[], []]);
  });

  it('no announcement leaves before the change is on disk (G3, G14)', () => {
    const group = leading(['a']);
    group.masterWrites = () => false;
    const before = group.sent.length;
    const command = group.replicate(1, { phases: 'one' });
    group.run(5000);
    expect(group.sent.slice(before).filter(({ message }) => message.kind === 'announce' || message.kind === 'deltas')).toEqual([]);
    expect(group.results.has(command)).toBe(false);
    expect(group.slave('a').applied).toEqual([]);
  });

  it('no newer reign is obeyed before the promise is on disk (G7)', () => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(200);
    group.slaveWrites = () => false;
    const before = group.sent.length;
    group.restartMaster();
    group.run(10_000);
    const said = group.sent.slice(before).filter(({ from }) => from.node === 'a');
    expect(said.filter(({ message }) => message.kind === 'promise' && message.granted)).toEqual([]);
    expect(said.filter(({ epoch }) => epoch.number > 1)).toEqual([]);
    expect(group.slave('a').core.view(group.nowMs).promised.number).toBe(1);
  });

  it('no epoch is claimed before it is on disk: two starts never claim the same one (G7)', () => {
    const group = leading(['a']);
    group.master.alive = false;
    group.masterWrites = () => false;
    group.restartMaster();
    const before = group.sent.length;
    group.run(10_000);
    expect(group.sent.slice(before).filter(({ message }) => message.kind === 'claim')).toEqual([]);
    group.masterWrites = () => true;
    group.restartMaster();
    group.run(10_000);
    expect(group.master.core.view(group.nowMs)).toMatchObject({ phase: 'leading', epoch: { number: 2 } });
  });

  it('a slave whose write failed votes no more in this process; its disk speaks at the next start', () => {
    const group = leading(['a', 'b']);
    group.slaveWriteError = (name) => (name === 'a' ? 'EIO: i/o error, fdatasync' : null);
    const command = group.replicate(1, { timeoutMs: 300 });
    expect(group.slave('a').halted).toContain('EIO');
    expect(group.slave('a').core.view(group.nowMs).state).toBe('failed');
    group.slaveWriteError = () => null;
    const before = group.sent.length;
    group.run(1000);
    expect(group.results.get(command)).toMatchObject({ kind: 'aborted', reason: 'timeout' });
    expect(group.sent.slice(before).filter(({ from }) => from.node === 'a')).toEqual([]);
  });
});

describe('durability: memory', () => {
  it('writes neither prepared rounds nor decisions, says so in the outcome, and keeps epochs and members on disk', () => {
    const group = leading(['a', 'b'], { durability: 'memory' });
    const records = (node: string): string[] => group.trace.filter((line) => line.includes(` ${node} persists `) && !line.endsWith('persists '));
    expect(records('master').map((line) => line.replace(/^.*persists /, '')), 'the reign, and two members').toEqual(['put reign', 'put member, put next-slot', 'put member, put next-slot']);
    expect(records('a')).toHaveLength(1);
    const before = group.trace.length;
    const commands = [group.replicate(1), group.replicate(2, { phases: 'one' })];
    group.run(1000);
    expect(commands.map((command) => group.results.get(command))).toMatchObject([{ kind: 'committed', durable: false }, { kind: 'committed', durable: false }]);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[1, 2], [1, 2]]);
    expect(group.trace.slice(before).filter((line) => /persists \S/.test(line))).toEqual([]);
  });
});
