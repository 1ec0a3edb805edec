import { registerFamilies, registerProcess, type MetricsOptions } from '../../../shared/metrics/register.js';
import { packageVersion } from '../../../shared/metrics/version.js';
import type { DataServer } from '../data-server.js';
import { dataServerFamilies } from './families.js';

/**
 * Puts the metrics of a data server into a registry of prom-client; `docs/cycle.md` lists them. A scrape shows the table as it was
 * last read: call `status` before it, as `lockstep data-server` does. The returned function takes them out again.
 *
 * Throws `bad-option` when the registry has such metrics already.
 */
export function registerDataServerMetrics(server: DataServer, options: MetricsOptions): () => void {
  const undo = [
    registerFamilies(
      dataServerFamilies(packageVersion),
      () => ({
        nowMs: server.clock.nowMs(),
        state: server.lastState,
        isUp: server.failure === null && server.lastState !== null,
        counters: server.counters,
        activation: server.activations()[0] ?? null,
      }),
      options,
    ),
    registerProcess(options),
  ];
  return () => {
    for (const each of undo) each();
  };
}
