import { nodeFamilies } from '../../shared/metrics/node-families.js';
import { registerFamilies, registerProcess, type MetricsOptions } from '../../shared/metrics/register.js';
import { packageVersion } from '../../shared/metrics/version.js';
import type { Slave } from '../slave.js';
import { slaveFamilies } from './families.js';

/**
 * Puts the metrics of a slave into a registry of prom-client; `docs/metrics.md` lists them. They are read when somebody
 * scrapes. The returned function takes them out again.
 *
 * Throws `bad-option` when the registry has such metrics already.
 */
export function registerMetrics(slave: Slave, options: MetricsOptions): () => void {
  const undo = [
    registerFamilies(nodeFamilies(packageVersion), () => slave.status(), options),
    registerFamilies(slaveFamilies, () => slave.status(), options),
    registerProcess(options),
  ];
  return () => {
    for (const each of undo) each();
  };
}
