import { Registry } from 'prom-client';
import { exitCodes, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { Json, Operation } from '../shared/protocol/key-value/operations.js';
import { watchHalts } from '../shared/binary/halts.js';
import { addressLine, closeAll, reloadKeysWhenTold, type BinaryContext } from '../shared/binary/serve.js';
import { checkStoreContents, recordStoreContents } from '../shared/binary/store-contents.js';
import type { NetworkBody } from '../shared/http/bodies.js';
import { networkBody } from '../shared/runtime/network-status.js';
import { crashPointOf, crashPointVariable } from '../shared/runtime/crash-points.js';
import { addMetricsRoute } from '../shared/http/metrics.js';
import { createServer, listen, refuseUntilOpen, type ServerOptions } from '../shared/http/server.js';
import { addSlaveRoutes, type ServedCopy } from './http/api.js';
import { servedFolder } from './http/directory.js';
import { checkCommand } from './check-command.js';
import { directory, keyValue, registerMetrics, Slave, type SlaveDirectoryOptions } from './index.js';
import { checkTarget } from './user/directory.js';
import type { SlaveOptions } from './types.js';

/** Judges one operation of a change: `true` accepts, a text refuses and says why. */
export type ShellValidator = (
  operation: Operation<Json>,
  context: { readonly current: Json | undefined; readonly dataSet: string },
) => true | string;

export interface SlaveSettings extends Omit<SlaveOptions, 'log' | 'crashPoint'> {
  readonly group: string;
  readonly interface: string;
  readonly dataSets: readonly string[];
  readonly http: { readonly host: string; readonly port: number } & ServerOptions;
  readonly validate: ShellValidator | null;
  /** The one data set is a folder instead of keys and values; `check` is a shell command. */
  readonly directory?: { readonly target: string; readonly check: string | null; readonly callbackMs: number };
}

/** How the process ends for each way in which a data set can be over. */
const exitOfHalt: Readonly<Record<string, ExitCode>> = {
  'name-taken': exitCodes.nameTaken,
  'cloned-store': exitCodes.nameTaken,
  forgotten: exitCodes.nameTaken,
  'group-full': exitCodes.nameTaken,
  'store-failed': exitCodes.storeFailed,
};

/** A master's heartbeats come at least once a second, so that this long a silence isn't chance. */
const silenceMs = 4000;

/**
 * `lockstep slave`: copies of key-value data sets, or of one folder, behind an HTTP API for reads. Runs until it is asked to stop, or until
 * the group refuses it; then it says goodbye and resolves with the exit code.
 *
 * Rejects with a `LockstepError` for what keeps it from starting.
 */
export async function runSlave(settings: SlaveSettings, context: BinaryContext): Promise<ExitCode> {
  const crashPoint = crashPointOf(process.env[crashPointVariable], 'slave');
  const contents = { dataSets: settings.dataSets, directory: settings.directory?.target ?? null };
  await checkStoreContents(settings.store, contents);
  if (settings.directory !== undefined)
    for (const dataSet of settings.dataSets) await checkTarget(settings.directory, { node: settings.name, dataSet });
  const halts = watchHalts(context.log);
  const server = createServer(halts.log, settings.http);
  const dataSets = new Map<string, ServedCopy>();
  let isOpen = false;
  refuseUntilOpen(server, () => isOpen);
  const registry = new Registry();
  addMetricsRoute(server, registry);
  let slave: Slave | null = null;
  // Asked of an open node only: until then every request is refused.
  const network = (): NetworkBody | null => (slave === null ? null : networkBody(slave, Date.now()));
  addSlaveRoutes(server, { node: settings.name, dataSets, network });
  const url = await listen(server, settings.http);
  let silence: NodeJS.Timeout | null = null;
  try {
    slave = await Slave.open({ ...settings, log: halts.log, crashPoint });
    registerMetrics(slave, { registry });
    await recordStoreContents(settings.store, contents);
    for (const name of settings.dataSets) {
      if (settings.directory === undefined) {
        dataSets.set(name, await slave.register(name, keyValue<Json>(validatorFor(name, settings.validate))));
        continue;
      }
      const { callbackMs } = settings.directory;
      const folder = await slave.register(name, directory(folderOptions(settings.directory)), { callbackMs });
      dataSets.set(name, servedFolder(name, folder));
    }
    isOpen = true;
    if (settings.keys !== undefined) reloadKeysWhenTold(slave, context);
    context.announce(
      addressLine(`slave ${settings.name}`, { ...settings, url, address: slave.address, peers: settings.peers ?? [] }),
    );
    silence = setTimeout(() => {
      const unheard = [...dataSets].filter(([, copy]) => copy.dataSet.view().master === null).map(([name]) => name);
      if (unheard.length > 0) context.complain(silenceText(settings, unheard));
    }, silenceMs);
    const ended = await Promise.race([halts.halted, context.stop]);
    if (typeof ended === 'string') {
      halts.log.record({ name: 'stopping', level: 'info', fields: { signal: ended } });
      return exitCodes.ok;
    }
    context.complain(`${settings.name} leaves ${ended.dataSet}: ${ended.reason}`);
    return exitOfHalt[ended.code] ?? exitCodes.bug;
  } finally {
    if (silence !== null) clearTimeout(silence);
    await closeAll(server, slave);
  }
}

function folderOptions({ target, check }: NonNullable<SlaveSettings['directory']>): SlaveDirectoryOptions {
  return { target, ...(check === null ? {} : { check: checkCommand(check) }) };
}

function validatorFor(
  dataSet: string,
  validate: ShellValidator | null,
): { validate?: (operation: Operation<Json>, context: { readonly current: Json | undefined }) => true | string } {
  return validate === null ? {} : { validate: (operation, { current }) => validate(operation, { current, dataSet }) };
}

/** Most first packets are lost for one of these reasons. */
function silenceText(settings: SlaveSettings, unheard: readonly string[]): string {
  const who = `${settings.name} hears no master for ${unheard.join(', ')}`;
  if ((settings.peers ?? []).length > 0) {
    return `${who} at ${(settings.peers ?? []).join(', ')}: is it running, with this address among its --peers and that --port, and does no firewall drop UDP? It keeps trying.`;
  }
  return `${who} in group ${settings.group} on ${settings.interface}: is it running, with the same --group, --interface and --data-set; does the interface carry multicast (else use --peers); does no firewall drop UDP? It keeps trying.`;
}
