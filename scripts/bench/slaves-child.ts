import { join } from 'node:path';
import { keyValue, Slave, type SlaveKeyValue } from '../../slave/index.js';
import { sampleMemory, serve } from './serve.js';
import { workload, type SlavesTasks } from './tasks.js';

interface Opened {
  readonly slave: Slave;
  readonly data: SlaveKeyValue<string>;
}

let all: readonly Opened[] = [];

serve<SlavesTasks>({
  async open({ names, folder, group }) {
    const opened = await Promise.all(names.map((name) => open({ name, folder, group })));
    all = [...all, ...opened];
    return null;
  },
  async reached({ version, timeoutMs }) {
    await Promise.all(all.map(({ data }) => data.reached(version, { timeoutMs })));
    return null;
  },
  memory: () => sampleMemory(),
  account: () => ({
    digests: [...new Set(all.map(({ data }) => data.stateDigest()))],
    datagramsSent: sum(({ slave }) => (slave.status().counters as { readonly datagramsSent: number }).datagramsSent),
    snapshots: sum(({ slave }) => slave.status().dataSets[0]?.view.snapshots ?? 0),
  }),
});

async function open(of: { readonly name: string; readonly folder: string; readonly group: string }): Promise<Opened> {
  const { name, folder, group } = of;
  const options = { name, store: join(folder, name), group, interface: '127.0.0.1', durability: 'memory' } as const;
  const slave = await Slave.open(options);
  return { slave, data: await slave.register(workload.dataSet, keyValue<string>()) };
}

function sum(of: (opened: Opened) => number): number {
  return all.reduce((total, each) => total + of(each), 0);
}
