import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keyValue as original, registerMetrics as registerMaster, type Master } from '../../../master/index.js';
import { addMetricsRoute } from '../../../shared/http/metrics.js';
import { createServer } from '../../../shared/http/server.js';
import { newToken, parseTokens } from '../../../shared/http/tokens.js';
import { keyValue as copy, registerMetrics as registerSlave } from '../../../slave/index.js';
import { scrape, valueOf, type MetricSeen } from '../../support/metrics.js';
import { RecordingLog } from './http-fakes.js';
import { Loopback, until } from './loopback.js';

let group: Loopback;
let master: Master;
const masterRegistry = new Registry();
const slaveRegistry = new Registry();
let atMaster: readonly MetricSeen[];
let atSlave: readonly MetricSeen[];
const prices = { data_set: 'prices' };

beforeAll(async () => {
  group = await Loopback.start();
  // A short lease, so that a change can be scheduled for soon.
  master = await group.master({ leaseMs: 1000 });
  registerMaster(master, { registry: masterRegistry });
  const slave = await group.slave('a');
  registerSlave(slave, { registry: slaveRegistry });
  const dataSet = await master.register('prices', original<number>());
  const copied = await slave.register(
    'prices',
    copy<number>({ validate: (operation) => !('put' in operation) || operation.put[1] > 0 || 'not above 0' }),
  );
  await until(() => copied.state === 'current', 'the slave is current');
  expect((await dataSet.change([{ put: ['k', 1] }])).kind).toBe('committed');
  expect((await dataSet.change([{ put: ['k', -1] }])).kind).toBe('aborted');
  const last = await dataSet.change([{ put: ['k', 2] }], { phases: 'one' });
  expect(last.kind).toBe('committed');
  await copied.reached(last.kind === 'committed' ? last.tip.version : 0, { timeoutMs: 5000 });
  await until(() => dataSet.dataSet.members()[0]?.behind === 0, 'the master knows what the slave shows');
  await until(() => copied.state === 'current', 'the slave is current again');
  const scheduled = await dataSet.change([{ put: ['k', 3] }], { activateAt: { inMs: 4000 }, timeoutMs: 2500 });
  expect(scheduled).toMatchObject({ kind: 'armed', arming: { armed: 1, of: 1 } });
  await until(() => dataSet.dataSet.view().activation?.exposed === 1, 'the slave has told when', 15_000);
  await until(() => dataSet.dataSet.members()[0]?.behind === 0, 'the master knows what the slave shows');
  atMaster = await scrape(masterRegistry);
  atSlave = await scrape(slaveRegistry);
}, 30_000);

afterAll(() => group[Symbol.asyncDispose]());

describe('what a master exposes', () => {
  test.each<[string, Record<string, string>, number]>([
    ['lockstep_rounds_total', { outcome: 'committed' }, 2],
    ['lockstep_rounds_total', { outcome: 'aborted' }, 1],
    ['lockstep_rounds_aborted_total', { reason: 'refused' }, 1],
    ['lockstep_commit_duration_seconds_count', {}, 2],
    ['lockstep_member_votes_total', { node: 'a', answer: 'yes' }, 2],
    ['lockstep_rounds_total', { outcome: 'armed' }, 1],
    ['lockstep_armed_missing', {}, 0],
    ['lockstep_member_votes_total', { node: 'a', answer: 'no' }, 1],
    ['lockstep_member_live', { node: 'a' }, 1],
    ['lockstep_member_behind_versions', { node: 'a' }, 0],
    ['lockstep_member_behind_seconds', { node: 'a' }, 0],
    ['lockstep_member_in_doubt_rounds', { node: 'a' }, 0],
    ['lockstep_members', { heard: 'live' }, 1],
    ['lockstep_members', { heard: 'silent' }, 0],
    ['lockstep_master_phase', { phase: 'leading' }, 1],
    ['lockstep_master_phase', { phase: 'halted' }, 0],
    ['lockstep_may_commit', {}, 1],
    ['lockstep_version', {}, 4],
    ['lockstep_rounds_open', {}, 0],
  ])('%s %o is %d', (name, labels, value) => {
    expect(valueOf(atMaster, name, { ...prices, ...labels })).toBe(value);
  });
});

test('how far apart master and slave switched to a scheduled change, and the bound of that', () => {
  const spread = valueOf(atMaster, 'lockstep_activation_spread_seconds', prices) ?? Number.NaN;
  expect(spread).toBeGreaterThanOrEqual(0);
  expect(valueOf(atMaster, 'lockstep_activation_bound_seconds', prices)).toBeGreaterThanOrEqual(spread);
});

describe('what a slave exposes', () => {
  test.each<[string, Record<string, string>, number]>([
    ['lockstep_slave_state', { state: 'current' }, 1],
    ['lockstep_slave_state', { state: 'catching-up' }, 0],
    ['lockstep_master_heard', {}, 1],
    ['lockstep_votes_total', { answer: 'yes' }, 2],
    ['lockstep_votes_total', { answer: 'no' }, 1],
    ['lockstep_behind_versions', {}, 0],
    ['lockstep_in_doubt_rounds', {}, 0],
    ['lockstep_in_doubt_oldest_seconds', {}, 0],
    ['lockstep_version', {}, 4],
    ['lockstep_resyncs_total', { cause: 'diverged' }, 0],
  ])('%s %o is %d', (name, labels, value) => {
    expect(valueOf(atSlave, name, { ...prices, ...labels })).toBe(value);
  });
});

test('a slave tells how well it knows group time, and how far that is from its time of day', () => {
  expect(valueOf(atSlave, 'lockstep_clock_error_seconds', prices)).toBeGreaterThan(0);
  expect(valueOf(atSlave, 'lockstep_clock_error_seconds', prices)).toBeLessThan(0.5);
  // Both run on this machine: the same time of day.
  expect(Math.abs(valueOf(atSlave, 'lockstep_clock_offset_seconds', prices) ?? Infinity)).toBeLessThan(0.5);
});

describe('on both sides', () => {
  test('traffic, buffers, and what runs', () => {
    for (const metrics of [atMaster, atSlave]) {
      expect(valueOf(metrics, 'lockstep_datagrams_total', { direction: 'sent' })).toBeGreaterThan(0);
      expect(valueOf(metrics, 'lockstep_datagrams_total', { direction: 'received' })).toBeGreaterThan(0);
      expect(valueOf(metrics, 'lockstep_receive_buffer_bytes', { buffer: 'granted' })).toBeGreaterThan(0);
      expect(valueOf(metrics, 'lockstep_dropped_total', { reason: 'bad-checksum' })).toBe(0);
      expect(valueOf(metrics, 'lockstep_event_loop_delay_seconds', { quantile: '0.5' })).toBeGreaterThanOrEqual(0);
      expect(valueOf(metrics, 'lockstep_build_info')).toBe(1);
    }
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(valueOf(atMaster, 'lockstep_build_info', { version, role: 'master', node: 'master' })).toBe(1);
  });

  test('names follow the conventions: a base unit last, `_total` for counters and for nothing else', () => {
    for (const { name, type, help } of [...atMaster, ...atSlave]) {
      expect(name).toMatch(/^lockstep_[a-z_]+$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      expect(name).not.toMatch(/_(ms|milliseconds|kb|percent)(_|$)/);
      expect(help, name).toMatch(/^[A-Z0-9].*\.$/);
    }
  });

  test('docs/metrics.md lists each metric with its type, labels and meaning, and no other', () => {
    const rows = [
      ...readFileSync('docs/metrics.md', 'utf8').matchAll(
        /^\| `(lockstep_[a-z_]+)` \| (\w+) \| (.*?) \| (.*?) \| (.*?) \|$/gm,
      ),
    ];
    const documented = rows.map(([, name, type, labels, where, meaning]) => ({ name, type, labels, where, meaning }));
    const names = [...new Set([...atMaster, ...atSlave].map(({ name }) => name))].sort();
    const seen = names.map((name) => {
      const [m, s] = [atMaster, atSlave].map((metrics) => metrics.find((metric) => metric.name === name));
      const labels = [
        ...new Set([...(m?.samples ?? []), ...(s?.samples ?? [])].flatMap((sample) => Object.keys(sample.labels))),
      ];
      return {
        name,
        type: (m ?? s)?.type,
        labels:
          labels
            .filter((label) => label !== 'le')
            .map((label) => `\`${label}\``)
            .join(', ') || '–',
        where: m === undefined ? 'slave' : s === undefined ? 'master' : 'both',
        meaning: (m ?? s)?.help,
      };
    });
    expect([...documented].sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1))).toEqual(seen);
  });
});

describe('registering', () => {
  test('a registry that has them already is refused, naming the metric', () => {
    expect(() => registerMaster(master, { registry: masterRegistry })).toThrow(/has a metric lockstep_/);
  });

  test('taking them out leaves nothing, and they can be put back', async () => {
    const registry = new Registry();
    const remove = registerMaster(master, { registry });
    expect(registry.getMetricsAsArray().length).toBe(masterRegistry.getMetricsAsArray().length);
    remove();
    expect(registry.getMetricsAsArray()).toEqual([]);
    registerMaster(master, { registry })();
  });

  test('the slaves of a data set that have metrics of their own are bounded', async () => {
    const registry = new Registry();
    const remove = registerMaster(master, { registry, maxMembers: 0 });
    const metrics = await scrape(registry);
    remove();
    expect(valueOf(metrics, 'lockstep_member_live', { node: 'a' })).toBeUndefined();
    expect(valueOf(metrics, 'lockstep_members', { heard: 'live' })).toBe(1);
  });

  test('a scrape costs one account of the node', async () => {
    let accounts = 0;
    const registry = new Registry();
    const counting = { status: () => ((accounts += 1), master.status()), onOutcome: () => () => undefined };
    const remove = registerMaster(counting as unknown as Master, { registry });
    await scrape(registry);
    remove();
    expect(accounts).toBe(2); // of what all nodes tell, and of what a master tells
  });
});

test('the route wants the role read', async () => {
  const read = newToken('read');
  const server = createServer(new RecordingLog(), { tokens: parseTokens(read.line, 'here') });
  addMetricsRoute(server, masterRegistry);
  expect((await server.inject('/metrics')).statusCode).toBe(401);
  const answer = await server.inject({ url: '/metrics', headers: { authorization: `Bearer ${read.token}` } });
  expect(answer.statusCode).toBe(200);
  expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(answer.body).toContain('# TYPE lockstep_rounds_total counter');
  await server.close();
});
