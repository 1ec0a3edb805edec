import { describe, expect, test } from 'vitest';
import type { NodeId, Peer } from '../kernel/ids.js';
import type { Message } from '../wire/messages.js';
import { pathLimits } from './path-limits.js';
import { GroupPaths, type OutgoingPath, type PathOptions } from './paths.js';

const storeId = '0'.repeat(32);
const slaveAddress = '10.0.0.2:7000';
const masterAddress = '10.0.0.1:7000';

function peer(node: string, start = 1): Peer {
  return { node: node as NodeId, incarnation: { storeId, start } };
}

const heartbeat = { kind: 'heartbeat' } as unknown as Message;

/** A slave's side; the master's multicast and answers come by hand. */
class Slave {
  readonly paths: GroupPaths;
  nowMs = 0;
  readonly sent: { readonly atMs: number; readonly path: OutgoingPath }[] = [];

  constructor(options: PathOptions = { mode: 'auto' }) {
    this.paths = new GroupPaths(options, storeId);
  }

  /** Wakes it whenever it wants to; whatever probe it sends is answered by unicast when the master is `alive`. */
  pass(
    untilMs: number,
    master: { readonly alive: boolean; readonly beatsEveryMs?: number; readonly byGroup?: boolean },
  ): void {
    const { alive, beatsEveryMs = Infinity, byGroup = true } = master;
    let beatAtMs = this.nowMs;
    while (this.nowMs <= untilMs) {
      const next = Math.min(this.paths.nextMs, beatAtMs);
      if (next > untilMs) break;
      this.nowMs = Math.max(this.nowMs, next);
      if (beatAtMs <= this.nowMs) {
        if (beatsEveryMs !== Infinity) this.beat(byGroup);
        beatAtMs = this.nowMs + beatsEveryMs;
      }
      for (const path of this.paths.tick(this.nowMs)) {
        this.sent.push({ atMs: this.nowMs, path });
        if (!alive || path.message.kind !== 'path-probe') continue;
        const message = { kind: 'path-answer', number: path.message.number, byGroup: false } as const;
        this.paths.heard('m', peer('master'), { from: masterAddress, byGroup: false }, this.nowMs);
        this.paths.path('m', peer('master'), { from: masterAddress, byGroup: false, message }, this.nowMs);
      }
    }
    this.nowMs = untilMs;
  }

  beat(byGroup: boolean, start = 1): void {
    const came = { from: masterAddress, byGroup };
    this.paths.heard('m', peer('master', start), came, this.nowMs);
    this.paths.message('m', peer('master', start), { ...came, message: heartbeat }, this.nowMs);
  }

  kinds(): readonly string[] {
    return this.sent.map(({ path: { message } }) =>
      message.kind === 'path-report' ? `report ${message.hears}` : message.kind,
    );
  }
}

function unheard(): Slave {
  const slave = new Slave();
  slave.beat(true);
  slave.pass(3000, { alive: true });
  slave.sent.length = 0;
  return slave;
}

describe('how a master is heard', () => {
  test('multicast once a second costs nothing', () => {
    const slave = new Slave();
    slave.pass(60_000, { alive: true, beatsEveryMs: 1000 });
    expect(slave.sent).toEqual([]);
    expect(slave.paths.takeEvents()).toEqual([]);
  });

  test('silence with three answers by unicast is multicast that does not pass: reported until it shows an effect', () => {
    const slave = new Slave();
    slave.beat(true);
    slave.pass(2000, { alive: true });
    expect(slave.kinds()).toEqual([
      'path-probe',
      'path-probe',
      'path-probe',
      'report false',
      'report false',
      'report false',
    ]);
    expect(slave.sent[0]?.atMs).toBe(pathLimits.suspectMs);
    expect(slave.paths.view.unheard).toEqual(['master']);
    expect(slave.paths.copies).toEqual([masterAddress]);
    expect(slave.paths.takeEvents()).toEqual([{ name: 'multicast-unheard', node: 'master', silentMs: 1380 }]);
    slave.sent.length = 0;
    slave.pass(30_000, { alive: true, beatsEveryMs: 500, byGroup: false });
    expect(slave.kinds().length).toBeLessThanOrEqual(1);
  });

  test('a master that answers nothing is gone, not unheard; it is asked ever more seldom, and forgotten', () => {
    const slave = new Slave();
    slave.beat(true);
    slave.pass(120_000, { alive: false });
    expect(new Set(slave.kinds())).toEqual(new Set(['path-probe']));
    expect(slave.sent.length).toBeLessThan(35);
    expect(slave.sent.at(-1)?.atMs).toBeLessThan(pathLimits.forgetMs + pathLimits.probeMaxMs);
    expect(slave.paths.takeEvents()).toEqual([]);
    expect(slave.paths.nextMs).toBe(Infinity);
  });

  test('one datagram of multicast does not bring it back; three over a while do, and that is reported', () => {
    const slave = unheard();
    slave.paths.takeEvents();
    slave.beat(true);
    slave.pass(slave.nowMs + 500, { alive: true, beatsEveryMs: 100, byGroup: false });
    expect(slave.kinds()).not.toContain('report true');
    slave.pass(slave.nowMs + 3000, { alive: true, beatsEveryMs: 500 });
    expect(slave.kinds().at(-1)).toBe('report true');
    expect(slave.paths.takeEvents()).toEqual([{ name: 'multicast-heard', node: 'master' }]);
    expect(slave.paths.copies).toEqual([]);
  });

  test('a master that restarts is told anew', () => {
    const slave = unheard();
    slave.pass(slave.nowMs + 500, { alive: true, beatsEveryMs: 100, byGroup: false });
    slave.sent.length = 0;
    slave.beat(false, 2);
    slave.paths.heard('m', peer('master', 3), { from: masterAddress, byGroup: false }, slave.nowMs);
    slave.pass(slave.nowMs + 10, { alive: true });
    expect(slave.kinds()).toEqual(['report false']);
  });

  test('a master that sends by unicast anyway is asked nothing', () => {
    const slave = new Slave({ mode: 'unicast' });
    slave.pass(60_000, { alive: true, beatsEveryMs: 1000, byGroup: false });
    expect(slave.sent).toEqual([]);
  });

  test('who listens to no multicast asks nothing: it says so, and no more once heartbeats come by unicast', () => {
    const slave = new Slave({ mode: 'unicast' });
    slave.beat(false);
    slave.pass(3000, { alive: true });
    expect(new Set(slave.kinds())).toEqual(new Set(['report false']));
    slave.sent.length = 0;
    slave.pass(30_000, { alive: true, beatsEveryMs: 800, byGroup: false });
    expect(slave.kinds().length).toBeLessThanOrEqual(1);
    expect(slave.paths.takeEvents()).toEqual([]);
    expect(slave.paths.view.unheard).toEqual([]);
  });

  test('who hears a master both ways says so, about once a second', () => {
    const slave = new Slave();
    for (let count = 0; count < 40; count += 1) {
      slave.beat(true);
      slave.beat(false);
      slave.pass(slave.nowMs + 100, { alive: true });
    }
    expect(new Set(slave.kinds())).toEqual(new Set(['report true']));
    expect(slave.sent.length).toBeLessThanOrEqual(4);
  });

  test('so does who gets its heartbeats once, and each of them a second time that can not be read again', () => {
    for (const secondByGroup of [false, true]) {
      const slave = new Slave();
      slave.beat(true);
      for (let count = 0; count < 40; count += 1) {
        slave.beat(!secondByGroup);
        slave.paths.doubled(masterAddress, secondByGroup, slave.nowMs);
        slave.pass(slave.nowMs + 100, { alive: true });
      }
      expect(new Set(slave.kinds())).toEqual(new Set(['report true']));
      expect(slave.sent.length).toBeLessThanOrEqual(4);
    }
  });

  test('copies of a stranger say nothing of the master', () => {
    const slave = new Slave();
    slave.beat(true);
    slave.paths.doubled(slaveAddress, false, slave.nowMs);
    slave.pass(1000, { alive: true });
    expect(slave.sent).toEqual([]);
  });

  test('with multicast alone nothing is asked or told', () => {
    const slave = new Slave({ mode: 'multicast', peers: [masterAddress] });
    slave.beat(true);
    slave.pass(60_000, { alive: true });
    expect(slave.sent).toEqual([]);
    expect(slave.paths.saying(slave.nowMs)).toEqual([]);
    expect(slave.paths.takeUnknown(slave.nowMs)).toEqual([]);
  });
});

describe('whom multicast reaches', () => {
  function report(paths: GroupPaths, hears: boolean, nowMs: number, from = slaveAddress): void {
    paths.path('s', peer('s1'), { from, byGroup: false, message: { kind: 'path-report', hears } }, nowMs);
  }

  test('who says that it hears nothing gets copies until it says otherwise; each is told once', () => {
    const paths = new GroupPaths({ mode: 'auto' }, storeId);
    report(paths, false, 0);
    report(paths, false, 10);
    expect(paths.copies).toEqual([slaveAddress]);
    expect(paths.takeEvents()).toEqual([{ name: 'multicast-unreached', node: 's1', address: slaveAddress }]);
    expect(paths.view.unreached).toEqual(['s1']);
    report(paths, true, 20);
    report(paths, true, 30);
    expect(paths.copies).toEqual([]);
    expect(paths.takeEvents()).toEqual([{ name: 'multicast-reached', node: 's1', address: slaveAddress }]);
  });

  test('a slave that comes back elsewhere takes the place of its former self', () => {
    const paths = new GroupPaths({ mode: 'auto' }, storeId);
    report(paths, false, 0);
    report(paths, false, 10, '10.0.0.2:7001');
    expect(paths.copies).toEqual(['10.0.0.2:7001']);
  });

  test('who speaks from elsewhere gets no copies where it was', () => {
    const paths = new GroupPaths({ mode: 'auto' }, storeId);
    report(paths, false, 0);
    paths.heard('s', peer('s1', 2), { from: '10.0.0.2:7001', byGroup: false }, 10);
    expect(paths.copies).toEqual([]);
    expect(paths.view.unreached).toEqual([]);
  });

  test('who is silent for a minute is forgotten', () => {
    const paths = new GroupPaths({ mode: 'auto' }, storeId);
    report(paths, false, 0);
    paths.heard('s', peer('s1'), { from: slaveAddress, byGroup: false }, 30_000);
    let nowMs = 0;
    for (let wakes = 0; wakes < 50 && paths.nextMs !== Infinity; wakes += 1) {
      nowMs = paths.nextMs;
      paths.tick(nowMs);
      if (nowMs < 90_000) expect(paths.copies).toEqual([slaveAddress]);
    }
    expect(paths.copies).toEqual([]);
    expect(nowMs).toBeLessThan(120_000);
  });

  test('a configured peer gets few copies until it tells how it hears, and word while it is not heard', () => {
    const paths = new GroupPaths({ mode: 'auto', peers: [slaveAddress] }, storeId);
    let copies = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 10) copies += paths.takeUnknown(nowMs).length;
    expect(copies).toBe(10_000 / pathLimits.unknownCopyMs);
    expect(paths.saying(10_000)).toEqual([{ to: slaveAddress, message: { kind: 'path-report', hears: false } }]);
    expect(paths.saying(10_500)).toEqual([]);
    paths.heard('s', peer('s1'), { from: slaveAddress, byGroup: false }, 11_000);
    expect(paths.saying(12_000)).toEqual([]);
    report(paths, true, 12_000);
    expect(paths.takeUnknown(20_000)).toEqual([]);
  });

  test('the table of those without multicast is bounded (G10)', () => {
    const paths = new GroupPaths({ mode: 'auto', limits: { maxUnreached: 3 } }, storeId);
    for (let index = 0; index < 10; index += 1) {
      const message = { kind: 'path-report', hears: false } as const;
      paths.path(`s${index}`, peer(`s${index}`), { from: `10.0.1.${index}:1`, byGroup: false, message }, 0);
    }
    expect(paths.copies).toHaveLength(3);
  });

  test('a probe by unicast is answered, and by a mark to the group; marks are shared, and a probe to all gets none', () => {
    const paths = new GroupPaths({ mode: 'multicast' }, storeId);
    const probe = (byGroup: boolean, nowMs: number): readonly string[] =>
      paths
        .path('s', peer('s1'), { from: slaveAddress, byGroup, message: { kind: 'path-probe', number: 5 } }, nowMs)
        .map(({ to, message }) => `${message.kind} to ${to}`);
    expect(probe(false, 0)).toEqual([`path-answer to ${slaveAddress}`, 'path-mark to group']);
    expect(probe(false, 5)).toEqual([`path-answer to ${slaveAddress}`]);
    expect(probe(false, 5 + pathLimits.markMs)).toHaveLength(2);
    expect(probe(true, 1000)).toEqual([`path-answer to ${slaveAddress}`]);
  });
});
