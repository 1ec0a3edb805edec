import { Registry } from 'prom-client';
import { LockstepError } from '../../../shared/protocol/kernel/errors.js';
import { addMetricsRoute } from '../../../shared/http/metrics.js';
import { createServer, listen, type ServerOptions } from '../../../shared/http/server.js';
import { parseTokens } from '../../../shared/http/tokens.js';
import { closeAll } from '../../../shared/binary/serve.js';
import { isLoopback } from '../../../shared/runtime/addresses.js';
import type { EventLog } from '../../../shared/runtime/ports.js';
import type { DataServer } from '../data-server.js';
import { registerDataServerMetrics } from '../metrics/register.js';
import { addDataServerRoutes } from './routes.js';

/** Where and to whom a data server serves HTTP. */
export interface DataServerListenOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** Default 7420; 0: any free one. */
  readonly port?: number;
  /** Lines of a role and a token's digest, as `lockstep token new` makes them. Needed for any host but loopback. */
  readonly tokens?: string;
  /** Certificate (with its chain) and key, PEM; default: plain HTTP. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  /** Serve other machines without tokens: everybody there may do everything. Default false. */
  readonly insecure?: boolean;
}

/** HTTP that is being served. */
export interface ServedHttp extends AsyncDisposable {
  readonly url: string;
  /** Answers what is under way, and ends. */
  close(): Promise<void>;
}

export async function listenForHost(
  dataServer: DataServer,
  options: DataServerListenOptions,
  log: EventLog,
): Promise<ServedHttp> {
  const { host = '127.0.0.1', port = 7420, tokens, tls, insecure = false } = options;
  if (!isLoopback(host) && tokens === undefined && !insecure) {
    const message = `host ${host} leaves this machine, and would serve everybody; give tokens, use a loopback address, or say insecure in a network that you trust`;
    throw new LockstepError('bad-option', message);
  }
  const guards = {
    ...(tokens === undefined ? {} : { tokens: parseTokens(tokens, 'tokens') }),
    ...(tls === undefined ? {} : { tls }),
  };
  return serveHttp(dataServer, { host, port, ...guards }, log);
}

/** All routes, with metrics in a registry of their own. */
export async function serveHttp(
  dataServer: DataServer,
  options: { readonly host: string; readonly port: number } & ServerOptions,
  log: EventLog,
): Promise<ServedHttp> {
  const server = createServer(log, options);
  addDataServerRoutes(server, dataServer);
  const registry = new Registry();
  const unregister = registerDataServerMetrics(dataServer, { registry });
  addMetricsRoute(server, registry);
  const close = async (): Promise<void> => {
    await closeAll(server, null);
    unregister();
  };
  try {
    return { url: await listen(server, options), close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}
