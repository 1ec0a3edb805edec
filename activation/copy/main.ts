import { Registry } from 'prom-client';
import { closeAll, type BinaryContext } from '../../shared/binary/serve.js';
import { addMetricsRoute } from '../../shared/http/metrics.js';
import { createServer, listen, refuseUntilOpen, type ServerOptions } from '../../shared/http/server.js';
import { exitCodes, type ExitCode } from '../../shared/protocol/kernel/errors.js';
import { CycleCopy } from './cycle-copy.js';
import { addCycleCopyRoutes } from './http/api.js';
import { registerCycleCopyMetrics } from './metrics.js';
import type { CycleCopyOptions } from './types.js';

export interface CycleCopySettings extends Omit<CycleCopyOptions, 'log' | 'signal'> {
  readonly from: URL;
  readonly store: string;
  /** What the content is called in the paths of reads. */
  readonly dataSet: string;
  readonly http: { readonly host: string; readonly port: number } & ServerOptions;
}

/** A data server that answers does so sooner. */
const silenceMs = 4000;

/**
 * `lockstep cycle-copy`: a copy of a pull cycle behind an HTTP API for reads. Runs until it is asked to stop, or until its store
 * fails; resolves with the exit code.
 *
 * Rejects with a `LockstepError` for what keeps it from starting.
 */
export async function runCycleCopy(settings: CycleCopySettings, context: BinaryContext): Promise<ExitCode> {
  const { name, from, dataSet, store } = settings;
  let copy: CycleCopy | null = null;
  const server = createServer(context.log, settings.http);
  refuseUntilOpen(server, () => copy !== null);
  const registry = new Registry();
  addMetricsRoute(server, registry);
  addCycleCopyRoutes(server, { copy: () => copy, dataSet, from: from.origin });
  const url = await listen(server, settings.http);
  let silence: NodeJS.Timeout | null = null;
  try {
    const opened = await CycleCopy.open({ ...settings, log: context.log });
    copy = opened;
    registerCycleCopyMetrics(opened, { registry });
    const failed = new Promise<string>((resolve) => {
      opened.on('copy failed', ({ fields }) => resolve(fields.reason));
    });
    context.announce(`lockstep cycle copy ${name} · ${dataSet} · ${url} · from ${from.origin} · store ${store}`);
    silence = setTimeout(() => {
      if (opened.view().table === null)
        context.complain(
          `${name} gets no table from ${from.origin}: does a data server run there, is its address right, and does it want a token? It keeps trying.`,
        );
    }, silenceMs);
    const ended = await Promise.race([
      failed.then((reason) => ({ reason })),
      context.stop.then((signal) => ({ signal })),
    ]);
    if ('signal' in ended) {
      context.log.record({ name: 'stopping', level: 'info', fields: { signal: ended.signal } });
      return exitCodes.ok;
    }
    context.complain(`${name} ends: ${ended.reason}`);
    return exitCodes.storeFailed;
  } finally {
    if (silence !== null) clearTimeout(silence);
    await closeAll(server, copy);
  }
}
