import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Network, noNetworkFaults, whatIsMissing } from './network.js';
import { ChaosNode } from './node.js';
import type { Report } from './words.js';

/** What these scripts exit with besides 0, 1 and 2: the machine lacks what they need. */
export const cannotRunHere = 18;

/** Says what this machine lacks for `name`; false: nothing. */
export function isUnfitFor(name: string): boolean {
  const missing = whatIsMissing();
  if (missing !== null)
    process.stderr.write(`${name} runs only where ${missing}; it needs root, iproute2 and nftables\n`);
  return missing !== null;
}

export interface ChaosGroup {
  readonly network: Network;
  readonly master: ChaosNode;
  readonly slaves: readonly ChaosNode[];
}

/**
 * A master and its slaves `s1`, `s2`, …, each a real process on a host of its own, joined by a switch without faults; none has
 * started yet. All of it goes when this process ends, however that happens.
 */
export function raiseGroup(options: {
  readonly name: string;
  /** Address and port. */
  readonly group: string;
  readonly slaves: number;
  readonly onReport: (node: string, report: Report) => void;
}): ChaosGroup {
  const { name, group, slaves: count, onReport } = options;
  const network = new Network(['master', ...Array.from({ length: count }, (_, index) => `s${index + 1}`)]);
  const folder = mkdtempSync(join(tmpdir(), `lockstep-${name}-`));
  const nodes = network.hosts.map(
    (host, index) =>
      new ChaosNode({
        host,
        role: index === 0 ? 'master' : 'slave',
        folder,
        group,
        onReport: (report) => {
          onReport(host.name, report);
        },
      }),
  );
  // Every way out leads through here, also an exception, SIGINT and SIGTERM.
  process.on('exit', () => {
    for (const node of nodes) node.killNow();
    network.remove();
    rmSync(folder, { recursive: true, force: true });
  });
  process.on('SIGINT', () => process.exit(130));
  process.on('SIGTERM', () => process.exit(143));
  network.raise();
  network.apply(noNetworkFaults);
  const [master, ...slaves] = nodes;
  if (master === undefined) throw new Error('there is no master');
  return { network, master, slaves };
}
