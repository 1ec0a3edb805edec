import { setTimeout as pause } from 'node:timers/promises';
import { keyValue, Master, type MasterKeyValue, type PutOperation } from '../../master/index.js';
import { cpuUs, sampleMemory, serve, timeEach } from './serve.js';
import { workload, type MasterTasks } from './tasks.js';
import { keyOf, valueOf } from './values.js';

let master: Master;
let data: MasterKeyValue<string>;
/** Where the next put goes: all keys in turn, with a value that differs from the one before. */
let turn = 0;

serve<MasterTasks>({
  async open({ store, group, durability, keys }) {
    const secured = keys === undefined ? {} : { keys: { text: keys } };
    master = await Master.open({ store, group, interface: '127.0.0.1', durability, ...secured });
    data = await master.register(workload.dataSet, keyValue<string>(), { timeoutMs: 10_000 });
    return null;
  },
  async fill({ slaves }) {
    await data.dataSet.leading();
    while (data.dataSet.members().filter(({ live }) => live).length < slaves) await pause(10);
    for (let put = 0; put < workload.keys; put += 1000) await committed(puts(1000));
    return { version: data.tip?.version ?? 0 };
  },
  async put({ callers, batch, seconds, updates }) {
    const endMs = performance.now() + seconds * 1000;
    let started = 0;
    let done = 0;
    let aborted = 0;
    const caller = async (): Promise<void> => {
      while (performance.now() < endMs && started < updates) {
        started += batch;
        const outcome = await data.change(puts(batch));
        if (outcome.kind === 'committed') done += batch;
        else aborted += 1;
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return { updates: done, version: data.tip?.version ?? 0, aborted };
  },
  single({ seconds, wait, most }) {
    return timeEach(seconds, () => committed(puts(1), wait), most);
  },
  memory: () => sampleMemory(),
  account: () => ({ digest: data.stateDigest(), counters: master.status().counters, cpuUs: cpuUs() }),
});

function puts(count: number): readonly PutOperation<string>[] {
  const operations: PutOperation<string>[] = [];
  for (let index = 0; index < count; index += 1, turn += 1) {
    operations.push({ put: [keyOf(turn), valueOf(turn)] });
  }
  return operations;
}

async function committed(
  operations: readonly PutOperation<string>[],
  wait: 'decided' | 'exposed' = 'decided',
): Promise<void> {
  const outcome = await data.change(operations, { wait });
  if (outcome.kind !== 'committed') throw new Error(`a change ended ${outcome.kind}: ${outcome.reason}`);
}
