import { tipKey, type Tip } from '../../shared/protocol/kernel/ids.js';
import type { Account, Order, Report } from './words.js';

/** What the programs on the hosts have in common. They end with the process that started them. */

/** Hosts' interfaces aren't loopback. One place to change when a run is to use keys. */
export const securityOptions = { insecure: true };

export function tell(report: Report): void {
  if (process.connected) process.send?.(report);
}

export function hear(handle: (order: Order) => Promise<void>): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', (order: Order) => {
    handle(order).catch((error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(1);
    });
  });
}

export function countersOf(counters: object): { readonly fragmentsResent: number } {
  const resent = 'fragmentsResent' in counters ? counters.fragmentsResent : 0;
  return { fragmentsResent: typeof resent === 'number' ? resent : 0 };
}

/** What several copies hold, as one: the same at nodes that hold the same. */
export function contentOf(
  copies: readonly { readonly tip: Tip | null; stateDigest(): string }[],
): Pick<Account, 'tip' | 'digest'> {
  const tips = copies.map(({ tip }) => (tip === null ? null : tipKey(tip)));
  return {
    tip: tips.includes(null) ? null : tips.join(', '),
    digest: copies.map((copy) => copy.stateDigest()).join(', '),
  };
}
