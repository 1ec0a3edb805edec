import { describe, expect, it } from 'vitest';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { leading } from '../harness/leading.js';

type Group = ReturnType<typeof leading>;

/** The kinds of content that packets of a version carried, in the order of sending, each once. */
function contents(group: Group, version: number): string[] {
  const kinds = new Set<string>();
  for (const { message } of group.sent) {
    if ((message.kind === 'announce' || message.kind === 'prepare') && message.to.version === version) kinds.add(`${message.kind} ${message.content.kind}`);
  }
  return [...kinds];
}

describe('the kinds of packets', () => {
  for (const phases of ['one', 'two'] as const) {
    for (const content of ['version', 'state', 'change', 'chain'] as const) {
      it(`each bring a change everywhere: ${content}, phases: ${phases}`, () => {
        const group = leading(['a', 'b']);
        group.replicate(1, { phases: 'one', content: 'change' });
        group.run(200);
        const command = group.replicate(2, { phases, content });
        group.run(1000);
        expect(group.results.get(command)?.kind).toBe('committed');
        expect(contents(group, 2)).toEqual([`${phases === 'one' ? 'announce' : 'prepare'} ${content}`]);
        expect(group.slaves.map(({ applied }) => applied)).toEqual([[1, 2], [1, 2]]);
        expect(group.slaves.map(({ tip }) => tip)).toEqual([group.master.core.view(group.nowMs).tip, group.master.core.view(group.nowMs).tip]);
      });
    }

    it(`are chosen by size and by what the group lacks, phases: ${phases}`, () => {
      const group = leading(['a', 'b']);
      const packet = phases === 'one' ? 'announce' : 'prepare';
      group.replicate(1, { phases });
      group.run(200);
      expect(contents(group, 1)).toEqual([`${packet} change`]);
      group.passes = ({ message }, receiver) => !(receiver === 'b' && (message.kind === 'announce' || message.kind === 'deltas'));
      group.replicate(2, { phases: 'one', content: 'change' });
      group.run(100);
      group.passes = () => true;
      group.replicate(3, { phases });
      expect(contents(group, 3), 'b is a version behind, and what it lacks rides along').toEqual([`${packet} chain`]);
      group.run(500);
      group.passes = ({ message }) => message.kind !== 'delta-request';
      group.replicate(4, { phases, delta: new Uint8Array(limits.maxMulticastChangeBytes + 1), timeoutMs: 100 });
      expect(contents(group, 4), 'too large for datagrams: whoever lacks it fetches it').toEqual([`${packet} version`]);
    });
  }

  it('carry no chain for one that has said yes to the change before: it holds the bytes, told or not', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    // Nobody's acknowledgement has come yet.
    group.replicate(2);
    expect(contents(group, 2)).toEqual(['prepare change']);
    group.passes = ({ message }, receiver) => !(receiver === 'b' && message.kind === 'announce');
    group.replicate(3, { phases: 'one' });
    group.passes = () => true;
    group.replicate(4);
    expect(contents(group, 4), 'b has not said yes to version 3').toEqual(['prepare chain']);
  });

  it('never carry what is open: a chain holds committed changes and the new one', () => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(200);
    group.passes = ({ message }) => message.kind !== 'vote';
    group.replicate(2, { timeoutMs: 5000 });
    group.replicate(3, { content: 'chain', timeoutMs: 5000 });
    expect(contents(group, 3)).toEqual(['prepare change']);
  });
});

describe('the bytes of a change', () => {
  it('are asked for when the caller did not hand them over, and the change is refused when there are none', () => {
    const group = leading(['a']);
    const asked: number[] = [];
    group.userDelta = (version) => {
      asked.push(version);
      return version === 2 ? null : Uint8Array.of(version);
    };
    const replication = { phases: 'two', timeoutMs: 1000, voters: 'live', content: 'auto', commitBy: 'multicast', abortBy: 'multicast', wait: 'decided' } as const;
    group.command({ kind: 'replicate', command: 501, replication: { ...replication, version: 1 } });
    expect(group.results.get(501)?.kind).toBe('committed');
    group.command({ kind: 'replicate', command: 502, replication: { ...replication, version: 2 } });
    expect(group.results.get(502)).toMatchObject({ kind: 'rejected', code: 'user-layer-failed' });
    group.command({ kind: 'replicate', command: 503, replication: { ...replication, version: 3, delta: Uint8Array.of(3) } });
    expect(group.results.get(503)?.kind).toBe('committed');
    expect(asked).toEqual([1, 2]);
    expect(group.slave('a').applied).toEqual([1, 3]);
  });
});

describe('a vote', () => {
  const votes = (group: Group, node: string): { readonly upToDate: boolean; readonly canProcess: boolean; readonly reason: string }[] =>
    group.sent.flatMap(({ from, message }) => (from.node === node && message.kind === 'vote' ? [message] : []));

  it('says both: whether the copy is at the prior version, and whether the change can be processed', () => {
    const group = leading(['a', 'b']);
    group.slave('b').veto = () => ({ kind: 'refused', reason: 'cents must be positive', refused: [0] });
    group.replicate(1);
    expect(votes(group, 'a')).toMatchObject([{ upToDate: true, canProcess: true, reason: '' }]);
    expect(votes(group, 'b')).toMatchObject([{ upToDate: true, canProcess: false, reason: 'cents must be positive', refused: [0] }]);
    const foreign = { epoch: { number: 1, claimant: 'f'.repeat(32) }, version: 7 as never, chain: 'e'.repeat(32) as never };
    group.slave('b').veto = null;
    group.addSlave('x', 'x', foreign);
    group.replicate(2, { phases: 'one' });
    group.run(2000);
    group.replicate(3, { voters: 'all' });
    expect(votes(group, 'x')).toMatchObject([{ upToDate: false, canProcess: false, reason: expect.stringContaining('diverged') as string }]);
  });

  it('of a slave that is behind comes after it has caught up', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message }, receiver) => !(receiver === 'b' && message.kind === 'announce');
    group.replicate(1, { phases: 'one', content: 'change' });
    group.replicate(2, { phases: 'one', content: 'change' });
    const before = group.trace.length;
    const command = group.replicate(3, { content: 'change' });
    expect(group.results.get(command)).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
    const steps = group.trace.slice(before).filter((line) => line.includes(' b ')).map((line) => line.replace(/^\s*[\d.]+ /, ''));
    const order = ['b → master: delta-request', 'b commits v1', 'b commits v2', 'b calls prepare', 'b → master: vote r1 yes'];
    const places = order.map((text) => steps.findIndex((line) => line.startsWith(text)));
    expect(places, steps.join('\n')).toEqual([...places].sort((x, y) => x - y));
    expect(places).not.toContain(-1);
    expect(votes(group, 'b')).toMatchObject([{ upToDate: true, canProcess: true }]);
  });
});

describe('each replication', () => {
  it('has a timeout of its own', () => {
    const group = leading(['a']);
    group.passes = ({ message }) => message.kind !== 'vote';
    const long = group.replicate(1, { timeoutMs: 900 });
    const short = group.replicate(2, { timeoutMs: 300 });
    group.run(299);
    expect([group.results.has(long), group.results.has(short)]).toEqual([false, false]);
    group.run(2);
    expect(group.results.get(short)).toMatchObject({ kind: 'aborted', reason: 'timeout' });
    group.run(590);
    expect(group.results.has(long)).toBe(false);
    group.run(20);
    expect(group.results.get(long)).toMatchObject({ kind: 'aborted', reason: 'timeout' });
  });

  it('that is dropped is named to the owner of the original, with those that had nothing of their own to stand on', () => {
    const group = leading(['a'], { maxOpenRounds: 1 });
    const replication = { phases: 'two', timeoutMs: 900, voters: 'live', content: 'auto', commitBy: 'multicast', abortBy: 'multicast', wait: 'decided' } as const;
    group.replicate(1);
    group.run(100);
    group.passes = ({ message }) => message.kind !== 'vote';
    const open = group.replicate(2, { timeoutMs: 300 });
    group.command({ kind: 'replicate', command: 503, replication: { ...replication, version: 3 } });
    const itsOwn = group.replicate(4, { timeoutMs: 5000 });
    group.run(310);
    expect(group.results.get(open)).toMatchObject({ kind: 'aborted', reason: 'timeout' });
    expect(group.results.get(503), 'what it was made on is gone').toMatchObject({ kind: 'aborted', reason: 'prior aborted' });
    expect(group.restores).toEqual([{ to: 1, dropped: [3, 2] }]);
    group.passes = () => true;
    group.run(1000);
    expect(group.results.get(itsOwn)?.kind, 'handed over with its bytes: it goes on').toBe('committed');
    expect(group.slave('a').applied).toEqual([1, 4]);
  });

  it('of the queue is bounded: more are refused, none is lost (G10)', () => {
    const group = leading(['a'], { maxOpenRounds: 1 });
    group.passes = ({ message }) => message.kind !== 'vote';
    for (let version = 1; version <= limits.maxQueuedReplications + 1; version += 1) group.replicate(version, { timeoutMs: 60_000 });
    expect(group.master.core.view(group.nowMs).queued).toBe(limits.maxQueuedReplications);
    const refused = group.replicate(limits.maxQueuedReplications + 2);
    expect(group.results.get(refused)).toMatchObject({ kind: 'rejected', code: 'queue-full' });
    expect(group.results.size).toBe(1);
  });

  it('is remembered in a history that stays within its bytes (G10)', () => {
    const group = leading(['a'], { historyBytes: 1000 });
    for (let version = 1; version <= 50; version += 1) group.replicate(version, { phases: 'one', delta: new Uint8Array(100) });
    group.run(100);
    expect(group.slave('a').applied).toHaveLength(50);
    expect(group.master.core.view(group.nowMs).historyBytes).toBeLessThanOrEqual(1000);
    expect(group.master.records.range(['service', 'prices', 'master', 'history']).length).toBeLessThanOrEqual(10);
  });
});

describe('a prepare', () => {
  it('stands for the commit of what it names as committed, and of all below that', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message }, receiver) => !(receiver === 'a' && ['commit', 'heartbeat', 'resolution', 'deltas'].includes(message.kind));
    group.replicate(1);
    expect(group.slave('a').calls).toEqual(['prepare 1']);
    const command = group.replicate(2);
    expect(group.results.get(command)).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
    expect(group.slave('a').calls).toEqual(['prepare 1', 'commit 1', 'prepare 2']);
  });

  it('says nothing of a prior that is still being voted on', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message, from }) => !(message.kind === 'vote' && from.node === 'b');
    group.replicate(1);
    group.replicate(2);
    expect(group.slave('a').calls).toEqual(['prepare 1', 'prepare 2']);
  });

  it('names the newest committed state although rounds are open below it', () => {
    const group = leading(['a', 'b']);
    const isLost = (kind: string): boolean => ['commit', 'heartbeat', 'resolution', 'deltas'].includes(kind);
    let votesPassUpTo = 0;
    group.passes = ({ message, from }, receiver) =>
      !(receiver === 'a' && isLost(message.kind)) &&
      !(message.kind === 'vote' && from.node === 'b' && message.round.number > votesPassUpTo);
    group.replicate(1);
    group.replicate(2);
    votesPassUpTo = 1;
    group.run(50);
    expect(group.slave('b').applied).toEqual([1]);
    expect(group.slave('a').calls).toEqual(['prepare 1', 'prepare 2']);
    group.replicate(3);
    expect(group.slave('a').calls).toEqual(['prepare 1', 'prepare 2', 'commit 1', 'prepare 3']);
    const third = group.sent.findLast(({ message }) => message.kind === 'prepare')?.message;
    expect(third).toMatchObject({ round: 3, lowestOpenRound: 2, committed: { version: 1 } });
  });
});
