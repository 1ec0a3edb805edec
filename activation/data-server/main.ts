import { exitCodes, type ExitCode } from '../../shared/protocol/kernel/errors.js';
import type { BinaryContext } from '../../shared/binary/serve.js';
import type { ServerOptions } from '../../shared/http/server.js';
import { DataServer, type DataServerOptions } from './data-server.js';
import { serveHttp, type ServedHttp } from './http/serve.js';

export interface DataServerSettings extends Omit<DataServerOptions, 'log'> {
  readonly http: { readonly host: string; readonly port: number } & ServerOptions;
}

/**
 * `lockstep data-server`: the owner of the three copies behind an HTTP API. Runs until it's asked to stop; then it answers what
 * is under way and resolves with the exit code. A database that goes away meanwhile is told and waited for: only at the start
 * it has to be there.
 *
 * Rejects with a `LockstepError` for what keeps it from starting.
 */
export async function runDataServer(settings: DataServerSettings, context: BinaryContext): Promise<ExitCode> {
  const { http, ...options } = settings;
  const dataServer = await DataServer.open({ ...options, log: context.log });
  let served: ServedHttp | null = null;
  try {
    served = await serveHttp(dataServer, http, context.log);
    const { intervalMs } = await dataServer.status();
    const place = options.store === undefined ? 'postgresql' : `store ${options.store}`;
    context.announce(`lockstep data-server · ${served.url} · every ${intervalMs / 1000} s · ${place}`);
    const signal = await context.stop;
    context.log.record({ name: 'stopping', level: 'info', fields: { signal } });
    return exitCodes.ok;
  } finally {
    await served?.close();
    await dataServer.close();
  }
}
