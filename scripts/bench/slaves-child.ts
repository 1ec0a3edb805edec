import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { keyValue, Slave, type SlaveKeyValue } from '../../slave/index.js';
import { MemoryWatch } from './peak-memory.js';
import { sampleMemory, serve } from './serve.js';
import { workload, type SlavesTasks } from './tasks.js';

interface Opened {
  readonly slave: Slave;
  readonly data: SlaveKeyValue<string>;
}

/** A copy appears all at once. */
const pollMs = 5;

let all: readonly Opened[] = [];
let watch: MemoryWatch | null = null;

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
  async filled({ keys, timeoutMs }) {
    const endMs = performance.now() + timeoutMs;
    while (!all.every(({ data }) => data.size >= keys)) {
      if (performance.now() > endMs) throw new Error(`not all copies have ${keys} keys within ${timeoutMs} ms`);
      await pause(pollMs);
    }
    return null;
  },
  memory: () => sampleMemory(),
  watchMemory() {
    watch = new MemoryWatch();
    return null;
  },
  peakMemory() {
    if (watch === null) throw new Error('the memory is not watched');
    return watch.end();
  },
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
