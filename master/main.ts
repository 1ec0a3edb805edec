import { Registry } from 'prom-client';
import { exitCodes, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { Json } from '../shared/protocol/key-value/operations.js';
import { crashPointOf, crashPointVariable } from '../shared/runtime/crash-points.js';
import { watchHalts, type Halt } from '../shared/binary/halts.js';
import { addressLine, closeAll, reloadKeysWhenTold, type BinaryContext } from '../shared/binary/serve.js';
import { checkStoreContents, recordStoreContents } from '../shared/binary/store-contents.js';
import { addMetricsRoute } from '../shared/http/metrics.js';
import { createServer, listen, refuseUntilOpen, type ServerOptions } from '../shared/http/server.js';
import { addMasterRoutes, type ServedOriginal } from './http/api.js';
import { keyValue, Master, registerMetrics } from './index.js';
import type { DataSetDefaults, MasterOptions } from './types.js';

export interface MasterSettings extends Omit<MasterOptions, 'log' | 'crashPoint'> {
  readonly name: string;
  readonly group: string;
  readonly interface: string;
  readonly dataSets: readonly string[];
  readonly http: { readonly host: string; readonly port: number } & ServerOptions;
  readonly defaults: DataSetDefaults;
}

/** How the process ends for each way in which a data set can be over. */
const exitOfHalt: Readonly<Record<string, ExitCode>> = {
  'refused-to-lead': exitCodes.refusedToLead,
  'stepped-down': exitCodes.steppedDown,
  'store-failed': exitCodes.storeFailed,
  'user-layer-failed': exitCodes.storeFailed,
};

/**
 * `lockstep master`: a master with key-value data sets behind an HTTP API. Runs until it is asked to stop, or until a
 * data set is over; then it settles open rounds, says goodbye and resolves with the exit code.
 *
 * Rejects with a `LockstepError` for what keeps it from starting. The port comes first and the group last: a start that
 * fails has disturbed nobody.
 */
export async function runMaster(settings: MasterSettings, context: BinaryContext): Promise<ExitCode> {
  const crashPoint = crashPointOf(process.env[crashPointVariable], 'master');
  await checkStoreContents(settings.store, settings.dataSets);
  const halts = watchHalts(context.log);
  const server = createServer(halts.log, settings.http);
  const dataSets = new Map<string, ServedOriginal>();
  const refusals = new Map<string, string>();
  let isOpen = false;
  refuseUntilOpen(server, () => isOpen);
  addMasterRoutes(server, { node: settings.name, dataSets, whyNotLeading: (dataSet) => refusals.get(dataSet) ?? null });
  const registry = new Registry();
  addMetricsRoute(server, registry);
  const url = await listen(server, settings.http);
  let master: Master | null = null;
  try {
    master = await Master.open({ ...settings, log: halts.log, crashPoint });
    registerMetrics(master, { registry });
    await recordStoreContents(settings.store, settings.dataSets);
    for (const name of settings.dataSets)
      dataSets.set(name, await master.register(name, keyValue<Json>(), settings.defaults));
    isOpen = true;
    if (settings.keys !== undefined) reloadKeysWhenTold(master, context);
    context.announce(
      addressLine(`master ${settings.name}`, {
        ...settings,
        url,
        address: master.address,
        peers: settings.peers ?? [],
      }),
    );
    const ended = await Promise.race([halts.halted, context.stop]);
    if (typeof ended === 'string') {
      halts.log.record({ name: 'stopping', level: 'info', fields: { signal: ended } });
      return exitCodes.ok;
    }
    refusals.set(ended.dataSet, ended.reason);
    context.complain(haltText(settings.name, ended));
    return exitOfHalt[ended.code] ?? exitCodes.bug;
  } finally {
    await closeAll(server, master);
  }
}

function haltText(node: string, halt: Halt): string {
  switch (halt.code) {
    case 'refused-to-lead':
      return `${node} does not lead ${halt.dataSet}: ${halt.reason}`;
    case 'stepped-down':
      return `${node} stepped down from ${halt.dataSet}: ${halt.reason}`;
    default:
      return `${node} stops serving ${halt.dataSet}: ${halt.reason}`;
  }
}
