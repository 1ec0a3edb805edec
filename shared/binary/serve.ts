import type { FastifyInstance } from 'fastify';
import { errorText } from '../protocol/kernel/errors.js';
import type { EventLog } from '../runtime/ports.js';

/** What a binary gets from the process that it runs in. */
export interface BinaryContext {
  readonly log: EventLog;
  /** One line on standard output. */
  announce(line: string): void;
  /** One line on standard error: why the process ends, or what keeps it from working. */
  complain(line: string): void;
  /** Settles when the process is asked to end, with the signal's name. */
  readonly stop: Promise<string>;
  /** Calls back whenever the process is told to read its keys again. */
  onReload(reload: () => void): void;
}

/** What is wrong with the keys is said, and changes nothing: those in use stay. */
export function reloadKeysWhenTold(node: { reloadKeys(): Promise<void> }, context: BinaryContext): void {
  context.onReload(() => {
    node.reloadKeys().catch((error: unknown) => {
      context.complain(errorText(error));
    });
  });
}

/** How long answers that are under way may take to leave, once the node has settled them. */
const lastAnswersMs = 1000;

/**
 * Ends in order: the node settles its rounds and says goodbye, callers get their answers, then the connections go, also
 * those that a client holds open.
 */
export async function closeAll(server: FastifyInstance, node: { close(): Promise<void> } | null): Promise<void> {
  const serverClosed = server.close();
  await node?.close();
  const force = setTimeout(() => {
    server.server.closeAllConnections();
  }, lastAnswersMs);
  await serverClosed;
  clearTimeout(force);
}

export function addressLine(
  who: string,
  where: {
    readonly dataSets: readonly string[];
    readonly url: string;
    readonly group: string;
    readonly interface: string;
    readonly peers: readonly string[];
    readonly address: string;
    readonly store: string;
  },
): string {
  const network =
    where.peers.length > 0 ? `peers ${where.peers.join(',')}` : `group ${where.group} on ${where.interface}`;
  return `lockstep ${who} · ${where.dataSets.join(', ')} · ${where.url} · ${network} · udp ${where.address} · store ${where.store}`;
}
