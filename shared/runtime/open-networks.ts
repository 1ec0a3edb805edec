import { LockstepError } from '../protocol/kernel/errors.js';
import type { EventOf } from '../protocol/kernel/events.js';
import type { NodeEvents } from './events.js';
import { isLoopback, parseHostPort } from './addresses.js';
import type { EventLog } from './ports.js';

export interface NetworkChoice {
  readonly interface: string;
  readonly peers: readonly string[];
  readonly hasKeys: boolean;
  readonly insecure: boolean;
  readonly log: EventLog;
}

/**
 * Without keys nothing is said beyond this machine, unless whoever runs it insists: and then the log says it, too.
 * Throws `bad-option`.
 */
export function checkNetwork({ interface: address, peers, hasKeys, insecure, log }: NetworkChoice): void {
  if (hasKeys) return;
  const open = whatIsOpen(address, peers);
  if (open === null) return;
  if (!insecure) {
    throw new LockstepError(
      'bad-option',
      `${open} leaves this machine, and without keys everybody there can read and change what is said; give --keys FILE ('lockstep keygen' makes one), or say --insecure in a network that you trust`,
    );
  }
  log.record({
    name: 'insecure',
    level: 'warn',
    fields: { open, reason: 'nothing is encrypted or authenticated: everybody on that network can read and change it' },
  } satisfies EventOf<NodeEvents, 'insecure'>);
}

function whatIsOpen(address: string, peers: readonly string[]): string | null {
  if (!isLoopback(address)) return `--interface ${address}`;
  const peer = peers.find((candidate) => !isLoopback(parseHostPort(candidate)?.host ?? candidate));
  return peer === undefined ? null : `--peers ${peer}`;
}
