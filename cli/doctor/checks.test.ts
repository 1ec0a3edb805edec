import { describe, expect, test } from 'vitest';
import {
  checkAsked,
  checkDisk,
  checkDrops,
  checkInterface,
  checkKeys,
  checkNodes,
  checkNodeVersion,
  checkOwnMulticast,
  checkPort,
  checkReceiveBuffer,
  checkSettings,
  hasFailed,
  unreachableNode,
  type AskedNode,
  type DiskReading,
  type InterfaceReading,
  type NodeReading,
} from './checks.js';
import { receiveErrorsOf } from './read-machine.js';

const sound: InterfaceReading = {
  address: '10.0.0.1',
  found: { name: 'eth0', isLoopback: false, family: 4 },
  known: ['127.0.0.1 (lo)'],
  carriesMulticast: true,
  mtuBytes: 1500,
};
const group = '239.255.42.1:7401';

describe('the machine', () => {
  test('Node', () => {
    expect(checkNodeVersion('v20.15.0').level).toBe('ok');
    expect(checkNodeVersion('v22.0.0').level).toBe('ok');
    expect(checkNodeVersion('v20.14.1')).toMatchObject({
      level: 'fail',
      fix: expect.stringContaining('20.15') as string,
    });
  });

  test('where the settings come from', () => {
    const flags = { key: 'group', from: null };
    expect(checkSettings([flags]).text).toBe('flags and defaults; no file and no variable gives any');
    expect(
      checkSettings([
        { key: 'interface', from: 'node.yaml' },
        { key: 'port', from: 'LOCKSTEP_PORT' },
        { key: 'store', from: 'node.yaml' },
        flags,
      ]),
    ).toMatchObject({
      level: 'ok',
      text: 'interface, store from node.yaml; port from LOCKSTEP_PORT; the rest are flags and defaults',
    });
  });

  test('the interface: none with this address, none that carries multicast, IPv6, small pieces', () => {
    const levels = (reading: Partial<InterfaceReading>): readonly string[] =>
      checkInterface({ ...sound, ...reading }, 'auto').map(({ check, level }) => `${check} ${level}`);
    expect(levels({})).toEqual(['interface ok', 'mtu ok']);
    expect(levels({ found: null })).toEqual(['interface fail']);
    expect(levels({ carriesMulticast: false })).toEqual(['interface ok', 'multicast-interface fail', 'mtu ok']);
    expect(levels({ found: { name: 'lo', isLoopback: true, family: 4 }, carriesMulticast: false })).not.toContain(
      'multicast-interface fail',
    );
    expect(levels({ found: { name: 'eth0', isLoopback: false, family: 6 } })).toContain('multicast-interface warn');
    expect(levels({ mtuBytes: 1280 })).toContain('mtu warn');
    expect(checkInterface({ ...sound, carriesMulticast: false }, 'unicast').map(({ level }) => level)).toEqual([
      'ok',
      'ok',
    ]);
    expect(checkInterface({ ...sound, carriesMulticast: false }, 'auto')[1]?.fix).toBe(
      'ip link set dev eth0 multicast on',
    );
  });

  test('the receive buffer, with the very sysctl', () => {
    expect(checkReceiveBuffer({ askedBytes: 4_194_304, grantedBytes: 4_194_304 }).level).toBe('ok');
    expect(checkReceiveBuffer({ askedBytes: 4_194_304, grantedBytes: 106_496 })).toMatchObject({
      level: 'warn',
      fix: 'sysctl -w net.core.rmem_max=4194304',
    });
  });

  test('drops of the kernel', () => {
    const level = (machine: number | null, atGroup: number | null): string =>
      checkDrops({ machine, group: atGroup, askedBytes: 1 }).level;
    expect([level(null, null), level(0, 0), level(5, 0), level(5, 5)]).toEqual(['ok', 'ok', 'warn', 'fail']);
    const snmp = 'Tcp: A B\nTcp: 1 2\nUdp: InDatagrams NoPorts RcvbufErrors SndbufErrors\nUdp: 10 0 37 0\n';
    expect(receiveErrorsOf(snmp)).toBe(37);
    expect(receiveErrorsOf('Udp: InDatagrams\nUdp: 1\n')).toBeNull();
    expect(receiveErrorsOf(null)).toBeNull();
  });

  test('keys: none needed, none given, unreadable', () => {
    const keys = { interface: '127.0.0.1', peers: [], source: null, error: null, role: null, insecure: false };
    expect(checkKeys(keys).level).toBe('ok');
    expect(checkKeys({ ...keys, peers: ['[::1]:7402', 'localhost:1'] }).level).toBe('ok');
    expect(checkKeys({ ...keys, interface: '10.0.0.1' }).fix).toContain('lockstep keygen');
    expect(checkKeys({ ...keys, peers: ['10.0.0.2:7402'] }).level).toBe('fail');
    expect(checkKeys({ ...keys, interface: '10.0.0.1', insecure: true }).level).toBe('warn');
    expect(checkKeys({ ...keys, source: 'k', role: 'slave' }).level).toBe('ok');
    const open = 'the key file k may be read by others (mode 644); chmod 600 k';
    expect(checkKeys({ ...keys, source: 'k', error: open })).toMatchObject({
      level: 'fail',
      text: open,
      fix: 'chmod 600 k',
    });
  });

  test('the disk: slow, in memory, not writable', () => {
    const disk: DiskReading = {
      folder: '/data',
      measuredIn: '/data',
      syncMs: [1, 2, 3],
      error: null,
      isInMemory: false,
    };
    expect(checkDisk(disk)).toMatchObject({
      level: 'ok',
      text: 'a write to /data is on disk after 2.0 ms, 3.0 ms at most',
    });
    expect(checkDisk({ ...disk, syncMs: [20, 30, 40] }).level).toBe('warn');
    expect(checkDisk({ ...disk, isInMemory: true }).level).toBe('warn');
    expect(checkDisk({ ...disk, syncMs: [], error: 'EACCES' }).level).toBe('fail');
  });

  test('ports: free, taken by a node, by another, by nobody to be seen', () => {
    const port = { what: 'http', address: '127.0.0.1:7400', free: false, holder: { pid: 7, command: 'nginx' } };
    expect(checkPort({ ...port, free: true }).level).toBe('ok');
    expect(checkPort(port)).toMatchObject({ level: 'fail', fix: 'stop it: kill 7; or choose another port' });
    expect(checkPort({ ...port, holder: { pid: 7, command: 'node lockstep slave' } }).level).toBe('ok');
    expect(checkPort({ ...port, holder: null })).toMatchObject({
      level: 'fail',
      fix: 'ss -lunpt | grep 7400, as root',
    });
  });
});

describe('the group', () => {
  const node: NodeReading = {
    node: 's1',
    address: '10.0.0.2:7000',
    answers: true,
    hearsGroup: true,
    isHeardByGroup: true,
    isUnicast: false,
  };

  test('multicast through this machine alone', () => {
    const reading = { group, interfaceName: 'eth0', heard: true, error: null };
    expect(checkOwnMulticast(reading).level).toBe('ok');
    expect(checkOwnMulticast({ ...reading, heard: false })).toMatchObject({
      level: 'fail',
      fix: expect.stringContaining('239.255.42.1') as string,
    });
    expect(checkOwnMulticast({ ...reading, heard: false, error: 'no such device' }).text).toContain('no such device');
  });

  test('multicast between nodes, each way; what is fatal depends on the transport', () => {
    const found = (reading: Partial<NodeReading>, transport: 'auto' | 'multicast' = 'auto'): string => {
      const [finding] = checkNodes({ nodes: [{ ...node, ...reading }], group, transport, hasKeys: false });
      return `${finding?.level}: ${finding?.text}`;
    };
    expect(found({})).toMatch(/^ok: /);
    expect(found({ hearsGroup: false })).toMatch(/^warn: .* does not hear multicast from here/);
    expect(found({ isHeardByGroup: false })).toMatch(/^warn: .* its multicast is not heard here/);
    expect(found({ hearsGroup: false, isHeardByGroup: false })).toMatch(/^warn: .* neither way/);
    expect(found({ hearsGroup: false }, 'multicast')).toMatch(/^fail: /);
    expect(found({ hearsGroup: false, isHeardByGroup: false, isUnicast: true })).toMatch(/^ok: /);
    expect(found({ answers: false })).toMatch(/^fail: .* answers no probe/);
    expect(checkNodes({ nodes: [], group, transport: 'auto', hasKeys: false })[0]).toMatchObject({
      level: 'warn',
      check: 'nodes',
    });
  });

  test('what nodes say of themselves: clock, drops, ways', () => {
    const asked: AskedNode = {
      url: 'http://a',
      node: 'master',
      offsetMs: 3,
      errorMs: 2,
      kernelDrops: 0,
      receiveBufferBytes: 212_992,
      unheard: [],
      unreached: [],
      clockErrors: [],
    };
    const levels = (reading: Partial<AskedNode>): readonly string[] =>
      checkAsked({ ...asked, ...reading }, 4_194_304).map(({ check, level }) => `${check} ${level}`);
    expect(levels({})).toEqual(['clock ok']);
    expect(levels({ offsetMs: -5000 })).toEqual(['clock warn']);
    expect(levels({ offsetMs: 1500, errorMs: 800 })).toEqual(['clock ok']);
    expect(levels({ kernelDrops: 4 })).toEqual(['clock ok', 'drops-master fail']);
    expect(levels({ kernelDrops: null, unreached: ['s1'] })).toEqual(['clock ok', 'paths-master warn']);
    const clockErrors = [
      { dataSet: 'prices', errorMs: 0.4 },
      { dataSet: 'routes', errorMs: 50.5 },
      { dataSet: 'flags', errorMs: null },
    ];
    const times = checkAsked({ ...asked, node: 's1', clockErrors }, 1).slice(1);
    expect(times.map(({ check, level }) => `${check} ${level}`)).toEqual([
      'group-time-s1 ok',
      'group-time-s1 warn',
      'group-time-s1 warn',
    ]);
    expect(times.map(({ text }) => text)).toEqual([
      's1 knows the group time of prices to ± 0.4 ms',
      's1 knows the group time of routes to ± 51 ms only; above 50 it takes part in no scheduled change',
      's1 does not know the group time of flags: no master has told it one',
    ]);
    expect(hasFailed([unreachableNode('http://a', 'refused')])).toBe(true);
    expect(hasFailed(checkAsked(asked, 1))).toBe(false);
  });

  test('each finding that is not ok says what to do', () => {
    const findings = [
      checkNodeVersion('v18.0.0'),
      ...checkInterface({ ...sound, found: null }, 'auto'),
      unreachableNode('http://a', 'refused'),
    ];
    for (const { fix } of findings) expect(fix).not.toBeNull();
  });
});
