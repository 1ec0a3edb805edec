import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { limits } from '../../shared/protocol/kernel/limits.js';
import { parseNodeId } from '../../shared/protocol/kernel/ids.js';
import { openLog } from '../../shared/runtime/node-events.js';
import { openPorts } from '../../shared/runtime/node-open.js';
import { keyValue, Slave, type SlaveKeyValue } from '../../slave/index.js';
import { keepInFolder } from '../../slave/service/keep-aside.js';
import type { SlaveKind } from '../../slave/types.js';
import { ApartClock } from './apart-clock.js';
import { callsAt, Exposures } from './exposures.js';
import { MemoryWatch } from './peak-memory.js';
import { sampleMemory, serve } from './serve.js';
import { workload, type SlavesTasks } from './tasks.js';

interface Opening {
  readonly name: string;
  readonly store: string;
  readonly group: string;
  readonly durability: 'memory' | 'disk';
  readonly clock: { readonly aheadMs: number; readonly rate: number } | undefined;
}

interface Opened {
  readonly slave: Slave;
  readonly data: SlaveKeyValue<string>;
}

/** A copy appears all at once. */
const pollMs = 5;

let all: readonly Opened[] = [];
const exposures = new Exposures();
let watch: MemoryWatch | null = null;

serve<SlavesTasks>({
  async open({ names, folder, group, durability, clocks }) {
    const opened = await Promise.all(
      names.map((name, index) => open({ name, store: join(folder, name), group, durability, clock: clocks?.[index] })),
    );
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
  exposed: ({ version }) => exposures.of(version),
  wake: ({ atUs }) => callsAt(atUs, all.length),
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

async function open(of: Opening): Promise<Opened> {
  const slave = of.clock === undefined ? await Slave.open(optionsOf(of)) : await openApart(of, of.clock);
  return { slave, data: await slave.register(workload.dataSet, noting(keyValue<string>())) };
}

function optionsOf({ name, store, group, durability }: Opening) {
  return { name, store, group, interface: '127.0.0.1', durability } as const;
}

/** All is real but the clock, which is that of a machine elsewhere. */
async function openApart(of: Opening, apart: { readonly aheadMs: number; readonly rate: number }): Promise<Slave> {
  const name = parseNodeId(of.name);
  if (name === null) throw new Error(`${of.name} names no node`);
  const log = openLog(undefined, { role: 'slave', node: name });
  const opened = await openPorts({ ...optionsOf(of), name, role: 'slave', log });
  const clock = new ApartClock(opened.ports.clock, apart);
  const settings = {
    durability: of.durability,
    maxLeaseMs: limits.maxLeaseMs,
    keepAside: keepInFolder(join(of.store, 'kept'), clock),
  };
  return Slave.on({ ...opened, name, settings, ports: { ...opened.ports, clock } });
}

/** All is real, and what readers see first is noted. */
function noting<Handle>(kind: SlaveKind<Handle>): SlaveKind<Handle> {
  return { create: (context) => exposures.noting(kind.create(context)) };
}

function sum(of: (opened: Opened) => number): number {
  return all.reduce((total, each) => total + of(each), 0);
}
