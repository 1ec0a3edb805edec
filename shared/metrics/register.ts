import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, type Metric, type Registry } from 'prom-client';
import { LockstepError } from '../protocol/kernel/errors.js';
import { kernelDrops } from '../runtime/kernel-drops.js';
import type { Family } from './family.js';

/** Where a node's metrics go. */
export interface MetricsOptions {
  /** Where the metrics go; prom-client's global registry is never used. */
  readonly registry: Registry;
}

/** Where Node's own sampling of its event loop begins to count; what is shorter is no delay. */
const resolutionMs = 10;
const quantiles = [0.5, 0.99, 1] as const;

/**
 * Puts a metric into the registry for each family, read when somebody scrapes and not before. All of one scrape come from one
 * account of the node. The returned function takes them out again.
 *
 * Throws `bad-option` when the registry has one of the names already.
 */
export function registerFamilies<Status>(
  families: readonly Family<Status>[],
  status: () => Status,
  { registry }: MetricsOptions,
): () => void {
  const once = oncePerTurn(status);
  const names: string[] = [];
  for (const family of families) {
    refuseTaken(registry, family.name);
    names.push(family.name);
    const metric: Metric = makeMetric(family, once);
    registry.registerMetric(metric);
  }
  return () => {
    for (const name of names) registry.removeSingleMetric(name);
  };
}

function makeMetric<Status>(family: Family<Status>, status: () => Status): Metric {
  const { name, help, labels: labelNames, samples } = family;
  const named = (values: readonly string[]): Record<string, string> =>
    Object.fromEntries(labelNames.map((label, index) => [label, values[index] ?? '']));
  if (family.type === 'gauge') {
    return new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [],
      collect() {
        this.reset();
        for (const [values, value] of samples(status())) this.set(named(values), value);
      },
    });
  }
  return new Counter({
    name,
    help,
    labelNames: [...labelNames],
    registers: [],
    collect() {
      this.reset();
      for (const [values, value] of samples(status())) this.inc(named(values), value);
    },
  });
}

/** What the process and its machine tell: how late its event loop is, and what the kernel dropped. */
export function registerProcess({ registry }: MetricsOptions): () => void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  const [delayName, dropsName] = processMetricNames;
  refuseTaken(registry, delayName);
  registry.registerMetric(
    new Gauge({
      name: delayName,
      help: 'How late the event loop was, in seconds, since the scrape before: median, 99 of 100, and the most.',
      labelNames: ['quantile'],
      registers: [],
      collect() {
        for (const quantile of quantiles) {
          const sampledMs = (quantile === 1 ? delay.max : delay.percentile(quantile * 100)) / 1e6;
          this.set({ quantile: String(quantile) }, Math.max(0, sampledMs - resolutionMs) / 1000);
        }
        delay.reset();
      },
    }),
  );
  refuseTaken(registry, dropsName);
  registry.registerMetric(
    new Counter({
      name: dropsName,
      help: 'Datagrams that the kernel dropped at this process for want of room in a receive buffer; only on Linux.',
      registers: [],
      collect() {
        const drops = kernelDrops();
        this.reset();
        if (drops !== null) this.inc(drops);
      },
    }),
  );
  return () => {
    delay.disable();
    for (const name of processMetricNames) registry.removeSingleMetric(name);
  };
}

export const processMetricNames = ['lockstep_event_loop_delay_seconds', 'lockstep_kernel_drops_total'] as const;

export function refuseTaken(registry: Registry, name: string): void {
  if (registry.getSingleMetric(name) === undefined) return;
  throw new LockstepError(
    'bad-option',
    `registry has a metric ${name} already; give each node of one process a registry of its own`,
  );
}

/** Every metric of a scrape asks; the account is made for the first of them. */
function oncePerTurn<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | null = null;
  return () => {
    if (made === null) {
      made = { value: make() };
      setImmediate(() => {
        made = null;
      });
    }
    return made.value;
  };
}
