import { Counter, Histogram } from 'prom-client';
import { nodeFamilies } from '../../shared/metrics/node-families.js';
import { refuseTaken, registerFamilies, registerProcess, type MetricsOptions } from '../../shared/metrics/register.js';
import { packageVersion } from '../../shared/metrics/version.js';
import type { Master } from '../master.js';
import { masterFamilies } from './families.js';

/** What a master's metrics take, beyond where they go. */
export interface MasterMetricsOptions extends MetricsOptions {
  /** Slaves of a data set that have metrics of their own, those first that are furthest behind; default 1000. */
  readonly maxMembers?: number;
}

/** From a commit over loopback to a round that waits for its deadline. */
const durationBucketsSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export const outcomeMetricNames = [
  'lockstep_rounds_total',
  'lockstep_rounds_aborted_total',
  'lockstep_commit_duration_seconds',
] as const;

/**
 * Puts the metrics of a master into a registry of prom-client; `docs/metrics.md` lists them. They are read when somebody
 * scrapes. Rounds are counted from now on, so register before the first data set. The returned function takes them out again.
 *
 * Throws `bad-option` when the registry has such metrics already.
 */
export function registerMetrics(master: Master, options: MasterMetricsOptions): () => void {
  const { registry } = options;
  const [roundsName, abortedName, durationName] = outcomeMetricNames;
  for (const name of outcomeMetricNames) refuseTaken(registry, name);
  const undo = [
    registerFamilies(nodeFamilies(packageVersion), () => master.status(), options),
    registerFamilies(masterFamilies(options.maxMembers ?? 1000), () => master.status(), options),
    registerProcess(options),
  ];
  const rounds = new Counter({
    name: roundsName,
    help: 'Rounds and one-phase changes that ended at this master, by outcome.',
    labelNames: ['data_set', 'outcome'],
    registers: [registry],
  });
  const aborted = new Counter({
    name: abortedName,
    help: 'Rounds that were aborted, by reason.',
    labelNames: ['data_set', 'reason'],
    registers: [registry],
  });
  const durations = new Histogram({
    name: durationName,
    help: 'Seconds from the start of a change at the master to its durable commit.',
    labelNames: ['data_set'],
    buckets: durationBucketsSeconds,
    registers: [registry],
  });
  const stop = master.onOutcome((dataSet, outcome) => {
    rounds.inc({ data_set: dataSet, outcome: outcome.kind });
    if (outcome.kind === 'committed') durations.observe({ data_set: dataSet }, outcome.durationMs / 1000);
    else if (outcome.kind === 'aborted')
      aborted.inc({ data_set: dataSet, reason: outcome.reason.replaceAll(' ', '-') });
  });
  return () => {
    stop();
    for (const each of undo) each();
    for (const name of outcomeMetricNames) registry.removeSingleMetric(name);
  };
}
