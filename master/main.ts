import { stat } from 'node:fs/promises';
import { Registry } from 'prom-client';
import { errorText, exitCodes, LockstepError, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { EventLog } from '../shared/runtime/ports.js';
import type { Json } from '../shared/protocol/key-value/operations.js';
import type { NetworkBody } from '../shared/http/bodies.js';
import { networkBody } from '../shared/runtime/network-status.js';
import { crashPointOf, crashPointVariable } from '../shared/runtime/crash-points.js';
import { watchHalts, type Halt } from '../shared/binary/halts.js';
import { addressLine, closeAll, reloadKeysWhenTold, type BinaryContext } from '../shared/binary/serve.js';
import { checkStoreContents, recordStoreContents } from '../shared/binary/store-contents.js';
import { addMetricsRoute } from '../shared/http/metrics.js';
import { createServer, listen, refuseUntilOpen, type ServerOptions } from '../shared/http/server.js';
import { addMasterRoutes, type MasterApi, type ServedOriginal } from './http/api.js';
import { addPublishRoutes, servedDirectory } from './http/publish.js';
import { directory, keyValue, Master, registerMetrics, type MasterDirectory } from './index.js';
import type { DataSetDefaults, MasterOptions } from './types.js';

export interface MasterSettings extends Omit<MasterOptions, 'log' | 'crashPoint'> {
  readonly name: string;
  readonly group: string;
  readonly interface: string;
  readonly dataSets: readonly string[];
  readonly http: { readonly host: string; readonly port: number } & ServerOptions;
  readonly defaults: DataSetDefaults;
  /** The one data set is a folder instead of keys and values. */
  readonly directory?: { readonly folder: string; readonly state: string; readonly watch: boolean };
}

/** How the process ends for each way in which a data set can be over. */
const exitOfHalt: Readonly<Record<string, ExitCode>> = {
  'refused-to-lead': exitCodes.refusedToLead,
  'stepped-down': exitCodes.steppedDown,
  'store-failed': exitCodes.storeFailed,
  'user-layer-failed': exitCodes.storeFailed,
};

/**
 * `lockstep master`: a master with key-value data sets, or one folder, behind an HTTP API. Runs until it is asked to stop, or until a
 * data set is over; then it settles open rounds, says goodbye and resolves with the exit code.
 *
 * Rejects with a `LockstepError` for what keeps it from starting. The port comes first and the group last: a start that
 * fails has disturbed nobody.
 */
export async function runMaster(settings: MasterSettings, context: BinaryContext): Promise<ExitCode> {
  const crashPoint = crashPointOf(process.env[crashPointVariable], 'master');
  if (settings.directory !== undefined) await checkFolder(settings.directory.folder);
  const contents = { dataSets: settings.dataSets, directory: settings.directory?.folder ?? null };
  await checkStoreContents(settings.store, contents);
  const halts = watchHalts(context.log);
  const server = createServer(halts.log, settings.http);
  const dataSets = new Map<string, ServedOriginal>();
  const refusals = new Map<string, string>();
  let isOpen = false;
  refuseUntilOpen(server, () => isOpen);
  const registry = new Registry();
  addMetricsRoute(server, registry);
  let master: Master | null = null;
  // Asked of an open node only: until then every request is refused.
  const network = (): NetworkBody | null => (master === null ? null : networkBody(master, Date.now()));
  const api: MasterApi = {
    node: settings.name,
    dataSets,
    whyNotLeading: (dataSet) => refusals.get(dataSet) ?? null,
    network,
  };
  const directories = new Map<string, MasterDirectory>();
  const watching = new AbortController();
  addMasterRoutes(server, api);
  addPublishRoutes(server, api, directories);
  const url = await listen(server, settings.http);
  try {
    master = await Master.open({ ...settings, log: halts.log, crashPoint });
    registerMetrics(master, { registry });
    await recordStoreContents(settings.store, contents);
    for (const name of settings.dataSets) {
      if (settings.directory === undefined) {
        dataSets.set(name, await master.register(name, keyValue<Json>(), settings.defaults));
        continue;
      }
      const folder = await master.register(name, directory(settings.directory), settings.defaults);
      directories.set(name, folder);
      dataSets.set(name, servedDirectory(name, folder));
      if (settings.directory.watch) void publishChanges(folder, halts.log, watching.signal);
    }
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
    watching.abort();
    await closeAll(server, master);
  }
}

/** Refuses a folder that isn't there before anything is opened. Rejects with `store-unusable`. */
async function checkFolder(folder: string): Promise<void> {
  const stats = await stat(folder).catch((error: unknown) => errorText(error));
  if (typeof stats !== 'string' && stats.isDirectory()) return;
  const why = typeof stats === 'string' ? stats : 'it is no folder';
  throw new LockstepError(
    'store-unusable',
    `--directory ${folder} can't be read: ${why}; give the folder to replicate`,
  );
}

/** `--watch`: every publish is told in the log, with what kept it from happening. */
async function publishChanges(folder: MasterDirectory, log: EventLog, signal: AbortSignal): Promise<void> {
  for await (const outcome of folder.watch({ signal })) {
    switch (outcome.kind) {
      case 'unchanged':
        break;
      case 'committed': {
        const { added, changed, removed } = outcome.files;
        const counts = { added: added.length, changed: changed.length, removed: removed.length };
        log.record({ name: 'published', level: 'info', fields: { version: outcome.tip.version, ...counts } });
        break;
      }
      case 'aborted': {
        const refusals = outcome.refusals.map(({ node, reason }) => `${node}: ${reason}`).join('; ');
        log.record({ name: 'publish-aborted', level: 'warn', fields: { reason: outcome.reason, refusals } });
        break;
      }
      case 'unknown':
        log.record({ name: 'publish-unknown', level: 'warn', fields: { reason: outcome.reason } });
        break;
      case 'failed':
        log.record({ name: 'publish-failed', level: 'warn', fields: { reason: outcome.error.message } });
    }
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
