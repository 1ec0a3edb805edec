import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MasterDirectoryLayer } from '../../master/user/directory.js';
import type { Tip } from '../../shared/protocol/kernel/ids.js';
import { sameTip } from '../../shared/protocol/kernel/ids.js';
import { simulate, type FaultKind } from '../../tests/integration/sim/index.js';
import { quickFiles, temporaryFolder } from '../../tests/support/directory-tools.js';
import { SlaveDirectoryLayer } from './directory.js';

/** Copies its folder when the service asks what leads to the version: the workload of the simulation names versions itself. */
class AskedMaster extends MasterDirectoryLayer {
  override async delta(from: Tip | null, to: { readonly version: number }): Promise<Uint8Array | null> {
    const known = super.delta(from, to);
    if (known instanceof Uint8Array || !sameTip(from, this.tip)) return known;
    await this.withdraw();
    return (await this.propose(true, to.version))?.bytes ?? null;
  }
}

/** Faults of networks, processes and callbacks. Those of disks strike the simulated store, and the folder is on a real one. */
const faults: readonly FaultKind[] = [
  ...(['loss', 'duplication', 'reordering', 'delay', 'corruption', 'partition', 'no-multicast', 'pause'] as const),
  ...(['crash-slave', 'crash-master', 'crash-all', 'slow-bulk', 'heavy-loss', 'callbacks-throw'] as const),
];

test('directories hold every guarantee through crashes and loss under simulation', async () => {
  await using temporary = await temporaryFolder();
  let committed = 0;
  for (let seed = 1; seed <= 4; seed += 1) {
    const root = join(temporary.path, String(seed));
    const folder = join(root, 'original');
    mkdirSync(folder, { recursive: true });
    const { seeds } = await simulate({
      seeds: 1,
      from: seed,
      slaves: 3,
      faultsMs: 6000,
      faults,
      master: ({ dataSet }) => new AskedMaster({ folder, state: join(root, 'published') }, dataSet, quickFiles),
      slave: ({ node, dataSet }) =>
        new SlaveDirectoryLayer({ target: join(root, node) }, { node, dataSet }, quickFiles),
      change: ({ version, random }) => {
        writeFileSync(join(folder, `file-${random.below(5)}`), `version ${version}`);
        return undefined;
      },
    });
    committed += seeds.reduce((sum, { stats }) => sum + stats.committed, 0);
  }
  expect(committed).toBeGreaterThan(20);
}, 120_000);
