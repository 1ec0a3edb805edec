import { describe, expect, it } from 'vitest';
import { leading } from '../harness/leading.js';

describe('a two-phase round', () => {
  it('commits at everybody', () => {
    const group = leading(['a', 'b']);
    const command = group.replicate(1);
    expect(group.results.get(command)?.kind, group.trace.join('\n')).toBe('committed');
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[1], [1]]);
  });

  it('is seen by nobody when one says no, and later ones succeed', () => {
    const group = leading(['a', 'b']);
    group.slave('b').veto = (version) => (version === 1 ? { kind: 'refused', reason: 'cents must be positive', refused: [0] } : null);
    const first = group.replicate(1);
    expect(group.results.get(first)).toMatchObject({ kind: 'aborted', reason: 'refused', refusals: [{ node: 'b', reason: 'cents must be positive' }] });
    const second = group.replicate(2);
    expect(group.results.get(second)?.kind, group.trace.slice(-40).join('\n')).toBe('committed');
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[2], [2]]);
  });

  it('commits many in a row, with one and two phases mixed', () => {
    const group = leading(['a', 'b', 'c']);
    for (let version = 1; version <= 20; version += 1) group.replicate(version, { phases: version % 3 === 0 ? 'one' : 'two' });
    group.run(100);
    for (const slave of group.slaves) expect(slave.applied, group.trace.slice(-40).join('\n')).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  it('heals who lost every packet from heartbeats alone', () => {
    const group = leading(['a', 'b']);
    let lossy = true;
    group.passes = (packet, receiver) => !(lossy && receiver === 'b' && packet.from.node === 'master');
    group.replicate(1, { phases: 'one' });
    group.replicate(2, { phases: 'one' });
    expect(group.slave('b').applied).toEqual([]);
    lossy = false;
    group.run(2000);
    expect(group.slave('b').applied, group.trace.slice(-40).join('\n')).toEqual([1, 2]);
    expect(group.trace.filter((line) => line.includes('b → master: delta-request'))).toHaveLength(1);
  });

  it('commits after a restart when the master died between the durable decision and the commit', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet) => packet.message.kind !== 'commit' && packet.message.kind !== 'heartbeat';
    group.replicate(1);
    group.master.alive = false;
    group.passes = () => true;
    group.run(1000);
    expect(group.slave('a').applied).toEqual([]);
    group.restartMaster();
    group.run(1500);
    expect(group.slaves.map(({ applied }) => applied), group.trace.slice(-60).join('\n')).toEqual([[1], [1]]);
  });

  it('aborts after a restart when the master died before the decision', () => {
    const group = leading(['a', 'b']);
    group.masterWrites = () => false;
    group.replicate(1);
    group.master.alive = false;
    group.masterWrites = () => true;
    group.run(500);
    expect(group.slave('a').core.view(group.nowMs).inDoubt).toHaveLength(1);
    group.restartMaster();
    group.run(1500);
    expect(group.slave('a').core.view(group.nowMs).inDoubt, group.trace.slice(-60).join('\n')).toEqual([]);
    const command = group.replicate(2);
    group.run(100);
    expect(group.results.get(command)?.kind, group.trace.slice(-60).join('\n')).toBe('committed');
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[2], [2]]);
  });

  it('is recovered by a slave that was killed after its yes', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet, receiver) => !(receiver === 'a' && (packet.message.kind === 'commit' || packet.message.kind === 'heartbeat'));
    group.replicate(1);
    group.slave('a').alive = false;
    group.passes = () => true;
    group.run(200);
    group.restartSlave('a');
    group.run(1500);
    expect(group.slave('a').applied, group.trace.slice(-60).join('\n')).toEqual([1]);
    expect(group.slave('a').core.view(group.nowMs).state).toBe('current');
  });

  it('aborts for one silent voter, whose late yes leaves it locked in nothing', () => {
    const group = leading(['a', 'b']);
    let silent = true;
    group.passes = (packet) => !(silent && packet.from.node === 'b');
    const first = group.replicate(1, { timeoutMs: 500 });
    group.run(600);
    expect(group.results.get(first)).toMatchObject({ kind: 'aborted', reason: 'timeout', refusals: [{ node: 'b' }] });
    silent = false;
    group.run(1000);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[], []]);
    expect(group.slave('b').core.view(group.nowMs).inDoubt).toEqual([]);
    const second = group.replicate(2);
    group.run(50);
    expect(group.results.get(second)?.kind, group.trace.slice(-40).join('\n')).toBe('committed');
  });

  it('aborts also at the voter that never heard of the abort and only voted late', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet, receiver) => !(packet.from.node === 'b' || (receiver === 'b' && packet.message.kind !== 'prepare'));
    group.replicate(1, { timeoutMs: 300 });
    group.run(400);
    expect(group.slave('b').core.view(group.nowMs).inDoubt).toHaveLength(1);
    group.passes = () => true;
    group.run(1500);
    expect(group.slave('b').core.view(group.nowMs).inDoubt, group.trace.slice(-40).join('\n')).toEqual([]);
    expect(group.slave('b').calls).toEqual(['prepare 1', 'abort 1']);
  });

  it('is unknown when the write of the decision fails, and the master decides nothing more', () => {
    const group = leading(['a', 'b']);
    group.masterWriteError = () => 'EIO: i/o error, fdatasync';
    const command = group.replicate(1);
    expect(group.results.get(command)?.kind).toBe('unknown');
    expect(group.master.halted).toContain('EIO');
    group.masterWriteError = () => null;
    const after = group.replicate(2);
    expect(group.results.get(after)).toMatchObject({ kind: 'rejected', code: 'not-leading' });
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[], []]);
    expect(group.trace.filter((line) => line.includes('→ all: commit'))).toEqual([]);
  });

  it('ignores a prepare that arrives after its own abort', () => {
    const group = leading(['a', 'b']);
    const held: (() => void)[] = [];
    group.passes = (packet, receiver) => {
      if (packet.message.kind !== 'prepare' || receiver !== 'a') return true;
      held.push(() => group.deliverNow('a', packet));
      return false;
    };
    group.slave('b').veto = () => ({ kind: 'refused', reason: 'no', refused: [] });
    group.replicate(1);
    group.passes = () => true;
    group.slave('b').veto = null;
    for (const deliver of held) deliver();
    expect(group.slave('a').calls, 'never prepared').toEqual([]);
    const second = group.replicate(2);
    expect(group.results.get(second)?.kind).toBe('committed');
    expect(group.slave('a').applied).toEqual([2]);
  });

  it('ends a round whose abort got lost when the next prepare names the older prior', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.slave('b').veto = (version) => (version === 2 ? { kind: 'refused', reason: 'no', refused: [] } : null);
    group.passes = (packet, receiver) => !(receiver === 'a' && (packet.message.kind === 'abort' || packet.message.kind === 'heartbeat'));
    group.replicate(2);
    const third = group.replicate(3);
    expect(group.results.get(third)?.kind, group.trace.slice(-30).join('\n')).toBe('committed');
    expect(group.slave('a').calls).toEqual(['prepare 1', 'commit 1', 'prepare 2', 'abort 2', 'prepare 3', 'commit 3']);
  });

  for (const mode of ['unicast', 'heartbeat', 'multicast'] as const) {
    it(`delivers a commit by ${mode}`, () => {
      const group = leading(['a', 'b']);
      const before = group.trace.length;
      const command = group.replicate(1, { commitBy: mode });
      group.run(5);
      expect(group.results.get(command)?.kind).toBe('committed');
      expect(group.slaves.map(({ applied }) => applied)).toEqual([[1], [1]]);
      const sent = group.trace.slice(before).filter((line) => line.includes(': commit r')).map((line) => (line.includes('→ all') ? 'multicast' : 'unicast'));
      expect(new Set(sent)).toEqual(new Set(mode === 'heartbeat' ? [] : [mode]));
    });

    it(`delivers an abort by ${mode}`, () => {
      const group = leading(['a', 'b']);
      group.slave('b').veto = () => ({ kind: 'refused', reason: 'no', refused: [] });
      const before = group.trace.length;
      group.replicate(1, { abortBy: mode });
      group.run(5);
      expect(group.slave('a').calls).toEqual(['prepare 1', 'abort 1']);
      const sent = group.trace.slice(before).filter((line) => line.includes(': abort r')).map((line) => (line.includes('→ all') ? 'multicast' : 'unicast'));
      expect(new Set(sent)).toEqual(new Set(mode === 'heartbeat' ? [] : [mode]));
    });
  }

  it('is delivered by heartbeats alone, commit and abort, when every first copy was dropped', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet) => packet.message.kind !== 'commit' && packet.message.kind !== 'abort' && packet.message.kind !== 'resolution';
    group.replicate(1);
    group.run(300);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[1], [1]]);
    group.slave('b').veto = () => ({ kind: 'refused', reason: 'no', refused: [] });
    group.replicate(2);
    group.run(300);
    expect(group.slave('a').calls).toEqual(['prepare 1', 'commit 1', 'prepare 2', 'abort 2']);
  });

  it('takes a restarted slave for the same one, and another store of the name for another', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.slave('a').alive = false;
    group.restartSlave('a');
    group.run(300);
    expect(group.slave('a').halted).toBeNull();
    expect(group.slave('a').core.view(group.nowMs).state, group.trace.slice(-20).join('\n')).toBe('current');
    const impostor = group.addSlave('b', 'another store');
    group.run(1000);
    expect(impostor.halted).toContain('taken by a live node');
    expect(group.slaves[1]?.core.view(group.nowMs).state).toBe('current');
    const command = group.replicate(2);
    expect(group.results.get(command)?.kind).toBe('committed');
  });

  it('is acknowledged at once when somebody waits for it, and otherwise many at a time', () => {
    const group = leading(['a', 'b']);
    const acknowledgements = (from: number): number =>
      group.trace.slice(from).filter((line) => line.includes('→ master: status')).length;
    const lazy = group.trace.length;
    for (let version = 1; version <= 4; version += 1) group.replicate(version);
    expect(acknowledgements(lazy)).toBe(0);
    group.run(10);
    expect(acknowledgements(lazy), 'one of each slave for all four').toBe(2);
    const waiting = group.trace.length;
    const command = group.replicate(5, { wait: 'exposed' });
    expect(group.results.get(command)?.kind).toBe('committed');
    expect(acknowledgements(waiting)).toBe(2);
  });

  it('is acknowledged by the next vote; it goes again only to whose vote is lost, and a status answers that', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message, from }) => !(message.kind === 'vote' && from.node === 'b' && message.round.number === 2);
    group.replicate(1);
    const from = group.trace.length;
    const before = group.sent.length;
    group.replicate(2, { timeoutMs: 1000 });
    group.run(60);
    const statuses = (node: string): number =>
      group.trace.slice(from).filter((line) => line.includes(`${node} → master: status`)).length;
    const commits = (node: string): number =>
      group.sent.slice(before).filter(({ to, message }) => message.kind === 'commit' && to !== 'all' && to.node === node).length;
    expect([commits('a'), statuses('a')], group.trace.slice(from).join('\n')).toEqual([0, 0]);
    expect(commits('b')).toBe(1);
    expect(statuses('b')).toBe(1);
  });

  it('reads as written down, from the prepare to the acknowledgements', async () => {
    const group = leading(['a', 'b']);
    const before = group.trace.length;
    group.replicate(1);
    group.run(10);
    group.slave('b').veto = () => ({ kind: 'refused', reason: 'cents must be positive', refused: [0] });
    group.replicate(2);
    await expect(`${group.trace.slice(before).join('\n')}\n`).toMatchFileSnapshot('a-commit-and-a-veto.trace.txt');
  });
});

describe('what waits behind a round that aborts', () => {
  it('ends with it when it was made on top of it, and the user layer is told of all of them', () => {
    const group = leading(['a'], { maxOpenRounds: 1 });
    group.slave('a').veto = (version) => (version === 1 ? { kind: 'refused', reason: 'no', refused: [] } : null);
    group.passes = (packet) => packet.message.kind !== 'vote';
    const commands = [
      group.replicate(1),
      group.replicate(2, { prior: 1 }),
      group.replicate(3, { prior: 2 }),
      group.replicate(4),
    ];
    group.passes = () => true;
    group.run(500);
    expect(commands.map((command) => group.results.get(command))).toMatchObject([
      { kind: 'aborted', reason: 'refused' },
      { kind: 'aborted', reason: 'prior aborted' },
      { kind: 'aborted', reason: 'prior aborted' },
      { kind: 'committed' },
    ]);
    expect(group.restored).toEqual([[3, 2, 1]]);
    expect(group.slave('a').applied).toEqual([4]);
  });
});
