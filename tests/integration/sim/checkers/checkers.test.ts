import { describe, expect, test } from 'vitest';
import { chainAfter, digestOf } from '../../../../shared/protocol/kernel/digest.js';
import type { DataSetId, Delta, Digest, Epoch, NodeId, Tip, Version } from '../../../../shared/protocol/kernel/ids.js';
import { noEpoch } from '../../../../shared/protocol/kernel/ids.js';
import { bitmapOf } from '../../../../shared/protocol/kernel/bitmap.js';
import type { VoterPolicy } from '../../../../shared/protocol/kernel/outcome.js';
import type { StoreOperation } from '../../../../shared/protocol/kernel/store.js';
import type { Envelope, Message } from '../../../../shared/protocol/wire/messages.js';
import { masterKeys } from '../../../../master/service/core/records.js';
import type { MasterView } from '../../../../master/service/core/view.js';
import { slaveKeys } from '../../../../slave/service/core/records.js';
import type { ClockView, SlaveView } from '../../../../slave/service/core/view.js';
import { Timeline } from '../clock.js';
import { SimDisk, calmDisk } from '../disk.js';
import { SimProcess, settlePromises } from '../clock.js';
import type { Observation, Role } from '../observation.js';
import { Oracle } from '../oracle.js';
import { seededRandom } from '../../../../shared/protocol/kernel/random.js';
import { guaranteeIds } from './checker.js';
import { checkers } from './index.js';

/** Each checker is fed a history that breaks its guarantee, and one that doesn't. A checker that never bites is no checker. */

const dataSet = 'd' as DataSetId;
const epoch: Epoch = { number: 1, claimant: 'a'.repeat(32) };
const newer: Epoch = { number: 2, claimant: 'b'.repeat(32) };
const content = 'c'.repeat(32) as Digest;
const otherContent = 'd'.repeat(32) as Digest;

function after(prior: Tip | null, version: number, text = 'change'): Delta {
  const bytes = Buffer.from(text);
  const digest = digestOf(bytes);
  return {
    from: prior,
    to: { epoch, version: version as Version, chain: chainAfter(prior, epoch, version as Version, digest) },
    bytes,
    digest,
  };
}

const first = after(null, 1);
const second = after(first.to, 2);
const third = after(second.to, 3);
const elsewhere = after(first.to, 2, 'another change');

const masterView: MasterView = {
  phase: 'leading',
  epoch,
  tip: null,
  mayCommit: true,
  queued: 0,
  openRounds: [],
  armed: null,
  activation: null,
  members: [],
  historyBytes: 0,
  oldestDelta: null,
};
const slaveView: SlaveView = {
  state: 'serving',
  tip: null,
  heardOf: null,
  promised: epoch,
  master: null,
  leaseUntilMs: 0,
  welcomed: true,
  inDoubt: [],
  armed: null,
  resolved: [],
  behind: null,
  behindMs: null,
  lastVote: null,
  lastVeto: null,
  votes: { yes: 0, no: 0 },
  reason: '',
  repairs: 0,
  snapshots: 0,
  resyncs: {},
  clock: null,
};

class Bench {
  readonly timeline = new Timeline();
  readonly disk = new SimDisk('s1', { timeline: this.timeline, random: seededRandom(1) });
  readonly oracle: Oracle;
  readonly clock = { rate: 1, hiddenSleepMs: 0 };

  constructor(takeOver = false) {
    this.oracle = new Oracle({
      dataSet,
      durability: 'disk',
      leaseMs: 3000,
      takeOver,
      maxOpenRounds: 1,
      nowMs: () => this.timeline.nowMs,
      clockOf: () => this.clock,
      durable: () => this.disk.durable,
    });
  }

  async put(operation: StoreOperation): Promise<void> {
    const process = new SimProcess('s1', this.timeline, { offsetMs: 0, wallOffsetMs: 0, rate: 1 });
    const store = this.disk.open(process);
    store.write(
      (transaction) => {
        if (operation.kind === 'put') transaction.put(operation.key, operation.value);
      },
      { durable: true },
      () => undefined,
    );
    await this.pass(calmDisk.maxFlushMs);
    process.end();
  }

  async pass(ms: number): Promise<void> {
    await this.timeline.runUntil(this.timeline.nowMs + ms);
    await settlePromises();
  }

  see(...observations: readonly Observation[]): this {
    for (const observation of observations) this.oracle.observe(observation);
    return this;
  }

  /** The master's disk holds these as committed. */
  committed(...changes: readonly Delta[]): this {
    for (const [index, delta] of changes.entries()) {
      const operations: readonly StoreOperation[] = [
        { kind: 'put', key: masterKeys.history(dataSet, index + 1), value: { ordinal: index + 1, delta } },
      ];
      this.see({ kind: 'durable', node: 'master', operations });
    }
    return this;
  }

  get broken(): readonly string[] {
    return [...new Set(this.oracle.failures.map(({ guarantee }) => guarantee))];
  }
}

function sent(role: Role, message: Message): Observation {
  return {
    kind: 'sent',
    node: role === 'master' ? 'master' : 's1',
    role,
    packet: { to: 'all', dataSet, epoch, message },
  };
}

function exposed(
  change: Delta,
  how: 'commit' | 'install' | 'open' = 'commit',
  digest: Digest | null = content,
): Observation {
  return { kind: 'exposed', node: 's1', how, from: change.from, tip: change.to, digest };
}

const round = { epoch, number: 1 };
const yes: Message = {
  kind: 'vote',
  round,
  to: first.to,
  upToDate: true,
  canProcess: true,
  reason: '',
  exposed: 0,
  refused: [],
};
const abort: Message = { kind: 'abort', round, to: first.to, lowestOpenRound: 2 };
const commit: Message = { kind: 'commit', round, to: first.to, lowestOpenRound: 2, acknowledge: false };
const preparedRecord: StoreOperation = {
  kind: 'put',
  key: slaveKeys.prepared(dataSet, round),
  value: { round, from: null, change: first },
};
const heartbeat = (tip: Tip | null): Message => ({
  kind: 'heartbeat',
  sequence: 1,
  sentMs: 0,
  tip,
  lowestOpenRound: 1,
  openRounds: [],
  recentDecisions: [],
  heal: 'nobody',
  leaseMs: 3000,
  nextInMs: 100,
  asks: true,
  acknowledged: [],
  arming: null,
});
const called = (call: 'prepare' | 'commit' | 'abort'): Observation => ({
  kind: 'called',
  node: 's1',
  call,
  from: null,
  to: first.to,
});

function receiving(of: Epoch, corrupt: boolean, message: Message = commit): Observation {
  const envelope: Envelope = {
    from: { node: 'master' as NodeId, incarnation: { storeId: 'e'.repeat(32), start: 1 } },
    dataSet,
    epoch: of,
    message,
  };
  return { kind: 'receiving', node: 's1', role: 'slave', corrupt, envelopes: [envelope] };
}

describe('each checker bites', () => {
  test('there is one for each guarantee, in order', () => {
    const bench = new Bench();
    const context = {
      dataSet,
      durability: 'disk',
      leaseMs: 1,
      takeOver: false,
      maxOpenRounds: 1,
      truth: bench.oracle.truth,
      nowMs: () => 0,
      clockOf: () => null,
      durable: () => null,
      fail: () => undefined,
      judged: () => undefined,
    } as const;
    expect(checkers.map((make) => make(context).id)).toEqual([...guaranteeIds]);
  });

  test('a sound history breaks nothing', async () => {
    const bench = new Bench();
    bench.see(called('prepare'), { kind: 'voted', node: 's1', to: first.to, yes: true });
    await bench.put(preparedRecord);
    bench.see(sent('slave', yes));
    bench.committed(first).see(sent('master', commit), called('commit'), exposed(first));
    expect(bench.oracle.failures).toEqual([]);
  });

  test('G1: an aborted version is exposed', () => {
    const bench = new Bench().see(sent('master', abort), exposed(first));
    expect(bench.oracle.failures.map(({ text }) => text)).toContainEqual(
      expect.stringContaining('whose round aborted'),
    );
    expect(bench.broken).toEqual(['G1']);
  });

  test('G1: a version that nobody committed is exposed', () => {
    expect(new Bench().see(exposed(first)).broken).toEqual(['G1']);
  });

  test('G1: a voter of a committed round ends without it', async () => {
    const bench = new Bench();
    await bench.put(preparedRecord);
    bench.committed(first).see(sent('slave', yes));
    bench.oracle.finish();
    expect(bench.broken).toContain('G1');
  });

  describe('G1: a decision', () => {
    const welcome = (node: string, slot: number): Observation => {
      const incarnation = { storeId: 'f'.repeat(32), start: 1 };
      const message: Message = { kind: 'welcome', slot, leaseMs: 3000, member: incarnation, heartbeat: 0 };
      const packet = { to: { node: node as NodeId, incarnation }, dataSet, epoch, message };
      return { kind: 'sent', node: 'master', role: 'master', packet };
    };
    const prepare: Message = {
      kind: 'prepare',
      round: 1,
      from: null,
      to: first.to,
      content: { kind: 'change', change: first },
      voters: bitmapOf([0, 1]),
      lowestOpenRound: 1,
      committed: null,
      activateAtMs: null,
    };
    const voteOf = (node: string): Observation => {
      const from = { node: node as NodeId, incarnation: { storeId: 'f'.repeat(32), start: 1 } };
      const envelopes = [{ from, dataSet, epoch, message: yes }];
      return { kind: 'receiving', node: 'master', role: 'master', corrupt: false, envelopes };
    };
    const asked = (voters: VoterPolicy): Bench =>
      new Bench().see(
        welcome('s1', 0),
        welcome('s2', 1),
        { kind: 'replicating', node: 'master', version: 1, voters },
        sent('master', prepare),
        voteOf('s1'),
        voteOf('s1'),
        voteOf('a stranger'),
      );

    test.each<VoterPolicy>(['all', 'live', 2])('without the yes of one that is needed, voters: %s', (voters) => {
      expect(asked(voters).committed(first).broken).toEqual(['G1']);
    });

    test('with all that are needed', () => {
      expect(asked('live').see(voteOf('s2')).committed(first).broken).toEqual([]);
      expect(asked(1).committed(first).broken).toEqual([]);
    });
  });

  test('G2: a vote without a prepared record', () => {
    expect(new Bench().see(sent('slave', yes)).broken).toEqual(['G2']);
  });

  test('G3: a commit, a heartbeat, an announce of what no disk holds', () => {
    const announce: Message = { kind: 'announce', from: null, to: first.to, content: { kind: 'version' } };
    for (const message of [commit, announce, heartbeat(first.to)])
      expect(new Bench().see(sent('master', message)).broken).toEqual(['G3']);
  });

  test('G4: after a restart the tip is there and the data is older', () => {
    const bench = new Bench().committed(first);
    bench.see(
      { kind: 'decided', node: 'master', change: first, digest: content },
      exposed(first, 'open', otherContent),
    );
    expect(bench.broken).toContain('G4');
  });

  test('G5: a tip goes back', () => {
    const bench = new Bench().committed(first, second).see(exposed(first), exposed(second), exposed(first, 'open'));
    expect(bench.broken).toEqual(['G5']);
  });

  test('G5: a change lands on another base', () => {
    const bench = new Bench().committed(first, second, third).see(exposed(first), exposed(third));
    expect(bench.broken).toEqual(['G5']);
  });

  test('G5: a snapshot after divergence is no step back, one to an ancestor is', () => {
    const healed = new Bench()
      .committed(first, second, elsewhere)
      .see(exposed(first), exposed(elsewhere), exposed(second, 'install', otherContent));
    expect(healed.broken).toEqual([]);
    const back = new Bench()
      .committed(first, second)
      .see(exposed(first), exposed(second, 'commit', otherContent), exposed(first, 'install'));
    expect(back.broken).toEqual(['G5']);
  });

  test('G6: a committed change is aborted', () => {
    const bench = new Bench().committed(first).see(exposed(first), called('abort'));
    expect(bench.broken).toEqual(['G6']);
  });

  test('G6: a prepared change is neither committed nor aborted', () => {
    const bench = new Bench().see({ kind: 'voted', node: 's1', to: first.to, yes: true });
    bench.oracle.finish();
    expect(bench.broken).toEqual(['G6']);
  });

  test.each([
    { where: 'and its copy lacks it', tip: null, broken: ['G6'] },
    { where: 'and its copy holds it', tip: first, broken: [] },
  ])('G6: a prepared record is gone at a start, $where', ({ tip, broken }) => {
    const bench = new Bench().committed(first);
    const { key, value } = { key: slaveKeys.prepared(dataSet, round), value: { round, from: null, change: first } };
    bench.see(
      { kind: 'voted', node: 's1', to: first.to, yes: true },
      { kind: 'durable', node: 's1', operations: [{ kind: 'put', key, value }] },
      { kind: 'started', node: 's1', role: 'slave', process: 2 },
      { kind: 'exposed', node: 's1', how: 'open', from: null, tip: tip?.to ?? null, digest: null },
    );
    expect(bench.broken).toEqual(broken);
  });

  test('G7: an older epoch brings a callback about', async () => {
    const bench = new Bench();
    await bench.put({ kind: 'put', key: slaveKeys.record(dataSet), value: { promised: newer } });
    bench.see(receiving(newer, false), called('commit'), {
      kind: 'received',
      node: 's1',
      role: 'slave',
      corrupt: false,
    });
    expect(bench.broken).toEqual([]);
    bench.see(receiving(epoch, false), called('commit'));
    expect(bench.broken).toEqual(['G7']);
  });

  test('G8: one chain id with two contents', () => {
    const bench = new Bench().committed(first);
    bench.see(
      { kind: 'decided', node: 'master', change: first, digest: content },
      exposed(first, 'commit', otherContent),
    );
    expect(bench.broken).toEqual(['G8']);
  });

  test('G9: somebody is left behind', () => {
    const bench = new Bench().see(
      { kind: 'healed' },
      { kind: 'master', node: 'master', view: { ...masterView, tip: first.to } },
      { kind: 'slave', node: 's1', view: slaveView, backlogBytes: 0, hasSlept: false },
    );
    bench.oracle.finish();
    expect(bench.broken).toEqual(['G9']);
    expect(bench.oracle.failures[0]?.text).toContain('s1 at nothing');
  });

  test('G10: more rounds than allowed, and a storm in quiet', async () => {
    const view = { round, version: 1, phase: 'preparing', ageMs: 0, voters: [], missing: [] } as const;
    const rounds = new Bench().see({
      kind: 'master',
      node: 'master',
      view: { ...masterView, openRounds: [view, view] },
    });
    expect(rounds.broken).toEqual(['G10']);
    const storm = new Bench().see({ kind: 'healed' }, { kind: 'converged' });
    for (let count = 0; count < 500; count += 1) storm.see({ kind: 'datagram', node: 's1', bytes: 100 });
    await storm.pass(2000);
    storm.oracle.finish();
    expect(storm.broken).toEqual(['G10']);
  });

  test('G11: a corrupt datagram is believed', () => {
    expect(new Bench().see(receiving(noEpoch, true)).broken).toEqual(['G11']);
    const silent: Observation = { kind: 'receiving', node: 's1', role: 'slave', corrupt: true, envelopes: [] };
    expect(new Bench().see(silent).broken).toEqual([]);
    expect(new Bench().see(silent, called('commit')).broken).toEqual(['G11']);
  });

  describe('G16', () => {
    const member = { storeId: '0'.repeat(32), start: 1 };
    // The master's clock shows what the simulator's does.
    const clock = { kind: 'clock', member, requestSentMs: 0, receivedMs: 0, sentMs: 0, era: 1 } as Message;
    const asked = { lowestOpenRound: 1, committed: null, voters: Uint8Array.of(1), activateAtMs: 1000 };
    const of = { from: null, to: first.to, content: { kind: 'version' } };
    const prepare = { kind: 'prepare', round: 1, ...of, ...asked } as Message;
    const armed = async (forMs: number): Promise<Bench> => {
      const bench = new Bench().committed(first).see(sent('master', clock), sent('master', prepare));
      await bench.pass(forMs);
      return bench;
    };

    test('shown before its instant, or current without it after', async () => {
      const view: SlaveView = { ...slaveView, state: 'current' };
      const current: Observation = { kind: 'slave', node: 's1', view, backlogBytes: 0, hasSlept: false };
      expect((await armed(900)).see(exposed(first, 'commit', content)).broken).toEqual(['G16']);
      expect((await armed(960)).see(exposed(first, 'commit', content)).broken).toEqual([]);
      const late = await armed(1040);
      expect(late.see(current).broken).toEqual([]);
      await late.pass(20);
      expect(late.see(current).broken).toEqual(['G16']);
    });

    test.each([
      [1000, 9.9, ['G16']],
      [1021, 10.9, ['G16']],
      [1000, 10.1, []],
      [1021, 11.1, []],
    ])('a switch at 1010 that is reported as at %i, off by %f at most', async (exposedAtMs, errorMs, broken) => {
      const status = { kind: 'status', activation: { round, exposedAtMs, errorMs } } as Message;
      const bench = (await armed(1010)).see(exposed(first, 'commit', content), sent('slave', status));
      expect(bench.broken).toEqual(broken);
    });
  });

  test('G12: current, although a change is older than a lease', async () => {
    const bench = new Bench().committed(first);
    bench.see(sent('master', commit));
    const current: Observation = {
      kind: 'slave',
      node: 's1',
      view: { ...slaveView, state: 'current' },
      backlogBytes: 0,
      hasSlept: false,
    };
    await bench.pass(2000);
    expect(bench.see(current).broken).toEqual([]);
    await bench.pass(2000);
    expect(bench.see(current).broken).toEqual(['G12']);
  });

  test('G12: what only an older master had when a newer one claimed is the older side’s, and what a slave showed counts', async () => {
    const bound: Observation = {
      kind: 'slave',
      node: 's1',
      view: { ...slaveView, state: 'current', promised: newer },
      backlogBytes: 0,
      hasSlept: false,
    };
    const claim: Observation = {
      kind: 'sent',
      node: 'second',
      role: 'master',
      packet: { to: 'all', dataSet, epoch: newer, message: { kind: 'claim', tip: null } },
    };
    const judged = async (takeOver: boolean, ...events: readonly Observation[]): Promise<readonly string[]> => {
      const bench = new Bench(takeOver).committed(first);
      for (const event of events) {
        await bench.pass(1);
        bench.see(event);
      }
      await bench.pass(4000);
      return bench.see(bound).broken.filter((id) => id === 'G12');
    };
    expect(await judged(true, sent('master', commit), claim)).toEqual([]);
    expect(await judged(true, claim, sent('master', commit), exposed(first))).toEqual([]);
    expect(await judged(true, sent('master', commit), exposed(first), claim)).toEqual(['G12']);
    const lost: Observation = { kind: 'diskLost', node: 's1' };
    expect(await judged(true, sent('master', commit), exposed(first), lost, claim)).toEqual([]);
    expect(await judged(true, sent('master', commit), exposed(first), claim, lost)).toEqual(['G12']);
    expect(await judged(false, sent('master', commit), claim)).toEqual(['G12']);
  });

  test('G13: a master leads without what was acknowledged', () => {
    const outcome = {
      kind: 'committed',
      tip: first.to,
      votes: { yes: 1, no: 0, silent: 0 },
      durationMs: 1,
      durable: true,
    } as const;
    const bench = new Bench().committed(first).see({ kind: 'settled', node: 'master', version: 1, outcome });
    expect(bench.see(sent('master', heartbeat(first.to))).broken).toEqual([]);
    expect(bench.see(sent('master', heartbeat(null))).broken).toEqual(['G13']);
  });

  test('G13: a copy of what was committed is fenced', () => {
    const view: SlaveView = { ...slaveView, state: 'diverged', tip: first.to };
    const bench = new Bench().committed(first);
    bench.see({ kind: 'slave', node: 's1', view, backlogBytes: 0, hasSlept: false });
    expect(bench.broken).toEqual(['G13']);
  });

  test('G14: what was acknowledged is on no disk, or missing at the end', () => {
    const outcome = {
      kind: 'committed',
      tip: second.to,
      votes: { yes: 1, no: 0, silent: 0 },
      durationMs: 1,
      durable: true,
    } as const;
    const settled: Observation = { kind: 'settled', node: 'master', version: 2, outcome };
    expect(new Bench().see(settled).broken).toEqual(['G14']);
    const lost = new Bench().committed(first, second).see(settled, exposed(first));
    lost.oracle.finish();
    expect(lost.broken).toEqual(['G14']);
    const afterTakeOver = (...changes: readonly Delta[]): readonly string[] => {
      const bench = new Bench(true).committed(first, second, elsewhere).see(settled);
      for (const change of changes) bench.see(exposed(change, 'commit', null));
      bench.oracle.finish();
      return bench.broken;
    };
    expect(afterTakeOver(first)).toEqual(['G14']);
    expect(afterTakeOver(first, elsewhere)).toEqual([]);
  });

  describe('G15', () => {
    const startMs = 1_796_119_200_000;

    function told(groupMs: number, era = 1): Observation {
      const member = { storeId: 'a'.repeat(32), start: 1 };
      return sent('master', { kind: 'clock', member, requestSentMs: 0, receivedMs: groupMs, sentMs: groupMs, era });
    }

    function reported(earliestMs: number, latestMs: number, changes: Partial<ClockView> = {}): Observation {
      const groupMs = (earliestMs + latestMs) / 2;
      const clock = { earliestMs, groupMs, latestMs, errorMs: (latestMs - earliestMs) / 2, era: 1, ...changes };
      return { kind: 'slave', node: 's1', view: { ...slaveView, clock }, backlogBytes: 0, hasSlept: false };
    }

    test('an interval that is too early, too late, or of a time that nobody told', async () => {
      const bench = new Bench().see(told(startMs));
      await bench.pass(1000);
      expect(bench.see(reported(startMs + 999, startMs + 1001)).broken).toEqual([]);
      expect(bench.see(reported(startMs + 999, startMs + 1001, { groupMs: startMs })).broken).toEqual(['G15']);
      expect(new Bench().see(told(startMs), reported(startMs + 1, startMs + 2)).broken).toEqual(['G15']);
      expect(new Bench().see(told(startMs), reported(startMs - 2, startMs - 1)).broken).toEqual(['G15']);
      expect(new Bench().see(told(startMs), reported(startMs - 2, startMs + 1, { era: 2 })).broken).toEqual(['G15']);
    });

    test('a master’s clock goes on at its own rate, and what it says later in the era changes nothing', async () => {
      const bench = new Bench();
      bench.clock.rate = 1.001;
      bench.see(told(startMs));
      await bench.pass(1000);
      bench.see(told(startMs + 5000));
      expect(bench.see(reported(startMs + 1000.9, startMs + 1001.1)).broken).toEqual([]);
      expect(bench.see(told(startMs + 5000, 2), reported(startMs + 4999, startMs + 5001, { era: 2 })).broken).toEqual(
        [],
      );
      expect(bench.see(reported(startMs + 4999, startMs + 5001)).broken).toEqual(['G15']);
    });

    test('a sleep that left no trace in the clocks excuses as much, and no more', () => {
      const bench = new Bench().see(told(startMs));
      bench.clock.hiddenSleepMs = 100;
      expect(bench.see(reported(startMs - 60, startMs - 50)).broken).toEqual([]);
      expect(bench.see(reported(startMs - 160, startMs - 150)).broken).toEqual(['G15']);
    });
  });
});
