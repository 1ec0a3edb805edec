import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { registerMetrics as registerMaster } from '../../../master/metrics/register.js';
import type { Master } from '../../../master/master.js';
import { registerMetrics as registerSlave } from '../../../slave/metrics/register.js';
import type { Slave } from '../../../slave/slave.js';

/** Queries of dashboards and alerts are held against the metrics that are registered: a name that isn't there shows nothing, for ever. */

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook_url: string };
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly {
    readonly expr: string;
    readonly refId: string;
    readonly datasource: { readonly uid: string };
  }[];
}

const rules = (
  parse(readFileSync('deploy/prometheus/lockstep.rules.yml', 'utf8')) as { groups: { rules: Rule[] }[] }
).groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(readFileSync('deploy/grafana/lockstep.json', 'utf8')) as {
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly type: string;
      readonly query: string | { readonly query: string };
    }[];
  };
};

/** What Prometheus adds to every sample. */
const added = ['job', 'instance', 'le'];

/** Name → labels, of both sides. */
function exposed(): ReadonlyMap<string, readonly string[]> {
  const labels = new Map<string, readonly string[]>();
  const nobody = { status: () => ({ dataSets: [], counters: {} }), onOutcome: () => () => undefined };
  for (const register of [
    (registry: Registry) => registerMaster(nobody as unknown as Master, { registry }),
    (registry: Registry) => registerSlave(nobody as unknown as Slave, { registry }),
  ]) {
    const registry = new Registry();
    const remove = register(registry);
    for (const metric of registry.getMetricsAsArray() as unknown as {
      name: string;
      type: string;
      labelNames: string[];
    }[]) {
      labels.set(metric.name, metric.labelNames);
      if (metric.name.endsWith('_duration_seconds'))
        for (const suffix of ['_bucket', '_sum', '_count']) labels.set(`${metric.name}${suffix}`, metric.labelNames);
    }
    remove();
  }
  return labels;
}

/** What is wrong with the names and labels of a query. */
function problemsOf(query: string, metrics: ReadonlyMap<string, readonly string[]>): string[] {
  const problems: string[] = [];
  const used = [...query.matchAll(/\b(lockstep_\w+)(?:\{([^}]*)\})?/g)];
  if (used.length === 0) problems.push(`no metric in ${query}`);
  const known = new Set(added);
  for (const [, name = '', matchers = ''] of used) {
    const labels = metrics.get(name);
    if (labels === undefined) problems.push(`no metric is named ${name}`);
    for (const label of labels ?? []) known.add(label);
    for (const [, label = ''] of matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g))
      if (!added.includes(label) && labels?.includes(label) !== true) problems.push(`${name} has no label ${label}`);
  }
  for (const [, list = ''] of query.matchAll(/\b(?:by|on|without|ignoring)\s*\(([^)]*)\)/g))
    for (const label of list.split(',').map((text) => text.trim()))
      if (!known.has(label)) problems.push(`no metric of the query has a label ${label}: ${query}`);
  for (const [open, close] of ['()', '{}', '[]'].map((pair) => [...pair]))
    if (query.split(open ?? '').length !== query.split(close ?? '').length)
      problems.push(`unbalanced ${open}${close}: ${query}`);
  return problems;
}

const metrics = exposed();

test('the check bites', () => {
  expect(problemsOf('rate(lockstep_round_total[5m])', metrics)).toEqual(['no metric is named lockstep_round_total']);
  expect(problemsOf('lockstep_slave_state{stat="current"}', metrics)).toEqual([
    'lockstep_slave_state has no label stat',
  ]);
  expect(problemsOf('sum by (nod) (lockstep_member_live)', metrics)).toHaveLength(1);
  expect(problemsOf('sum(lockstep_member_live', metrics)).toHaveLength(1);
});

describe('alert rules', () => {
  const operations = readFileSync('docs/operations.md', 'utf8');
  const anchors = [...operations.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );

  test('have names of their own', () => {
    expect(rules.length).toBeGreaterThanOrEqual(10);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  });

  test.each(rules)('$alert asks for metrics that there are, and links to a section that there is', (rule) => {
    expect(problemsOf(rule.expr, metrics)).toEqual([]);
    expect(rule.for).toMatch(/^\d+[ms]$/);
    expect(['warning', 'critical']).toContain(rule.labels.severity);
    const [page, anchor] = rule.annotations.runbook_url.split('#');
    expect(page).toBe('docs/operations.md');
    expect(anchors).toContain(anchor);
    for (const text of [rule.annotations.summary, rule.annotations.description])
      for (const [, label = ''] of text.matchAll(/\$labels\.(\w+)/g))
        expect(labelsOf(rule.expr), label).toContain(label);
  });

  /** The labels that a result may have. */
  function labelsOf(query: string): string[] {
    const grouped = [...query.matchAll(/\bby\s*\(([^)]*)\)/g)].flatMap(([, list = '']) =>
      list.split(',').map((text) => text.trim()),
    );
    if (grouped.length > 0) return grouped;
    return [...added, ...[...query.matchAll(/\b(lockstep_\w+)/g)].flatMap(([, name = '']) => metrics.get(name) ?? [])];
  }
});

describe('the dashboard', () => {
  const { panels } = dashboard;
  const variables = dashboard.templating.list.map(({ name }) => name);

  test('has a variable for its data source, and each panel uses it', () => {
    expect(dashboard.templating.list[0]).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' });
    for (const { type, datasource, targets, title } of panels) {
      if (type === 'row') continue;
      expect(datasource, title).toEqual({ type: 'prometheus', uid: '${datasource}' });
      for (const target of targets ?? []) expect(target.datasource.uid, title).toBe('${datasource}');
    }
  });

  test('has panels with ids, titles, meanings and places of their own', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { type, title, description, gridPos, targets } of panels) {
      if (type !== 'row') {
        expect(description, title).toMatch(/\.$/);
        expect(targets?.length, title).toBeGreaterThan(0);
        expect(new Set(targets?.map(({ refId }) => refId)).size, title).toBe(targets?.length);
      }
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(taken.has(`${x}/${y}`), `${title} overlaps another panel`).toBe(false);
          taken.add(`${x}/${y}`);
        }
    }
  });

  test('asks for metrics and variables that there are', () => {
    const queries = [
      ...panels.flatMap(({ targets }) => (targets ?? []).map(({ expr }) => expr)),
      ...dashboard.templating.list.flatMap(({ query }) => (typeof query === 'string' ? [] : [query.query])),
    ];
    expect(queries.length).toBeGreaterThan(20);
    expect(queries.flatMap((query) => problemsOf(query, metrics))).toEqual([]);
    for (const query of queries)
      for (const [, name = ''] of query.matchAll(/\$(\w+)/g))
        expect([...variables, '__rate_interval'], query).toContain(name);
  });
});
