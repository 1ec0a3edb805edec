import { setTimeout as pause } from 'node:timers/promises';
import {
  keyValue,
  LockstepError,
  Master,
  type ChangeOutcome,
  type MasterKeyValue,
  type MasterKind,
  type PutOperation,
  type ScheduledChangeOutcome,
} from '../../master/index.js';
import { callsAt, Exposures } from './exposures.js';
import { Live } from './live.js';
import { MemoryWatch } from './peak-memory.js';
import { cpu, cpuUs, sampleMemory, serve, timeEach } from './serve.js';
import { workload, type MasterTasks, type Sent } from './tasks.js';
import { keyOf, valueOf, valuesOf } from './values.js';

let master: Master;
let data: MasterKeyValue<string>;
/** Where the next put goes: all keys in turn, with a value that differs from the one before. */
let turn = 0;
/** Fewer than of the other runs: large values of all of them would fill the caches, and the memory. */
const announcedKeys = 1000;
let live: Live | null = null;
const exposures = new Exposures();
let watch: MemoryWatch | null = null;

serve<MasterTasks>({
  async open({ store, group, durability, keys, historyBytes }) {
    const secured = keys === undefined ? {} : { keys: { text: keys } };
    master = await Master.open({ store, group, interface: '127.0.0.1', durability, ...secured });
    data = await master.register(workload.dataSet, noting(keyValue<string>()), {
      timeoutMs: 10_000,
      ...(historyBytes === undefined ? {} : { historyBytes }),
    });
    return null;
  },
  async fill({ slaves }) {
    await ready(slaves);
    for (let put = 0; put < workload.keys; put += 1000) await committed(puts(1000));
    return { version: data.tip?.version ?? 0 };
  },
  async put({ callers, batch, seconds, updates, perSecond }) {
    const startedMs = performance.now();
    const endMs = startedMs + seconds * 1000;
    let started = 0;
    let done = 0;
    let aborted = 0;
    let why = '';
    const caller = async (): Promise<void> => {
      for (let count = 1; performance.now() < endMs && started < updates; count += 1) {
        started += batch;
        const outcome = await data.change(puts(batch));
        if (outcome.kind === 'committed') done += batch;
        else {
          aborted += 1;
          why ||= whyNot(outcome);
        }
        if (perSecond === undefined) continue;
        const waitMs = startedMs + (count * 1000) / perSecond - performance.now();
        if (waitMs > 0) await pause(waitMs);
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return { updates: done, version: data.tip?.version ?? 0, aborted, why };
  },
  async announce({ callers, valueBytes, seconds }) {
    const values = valuesOf(valueBytes);
    const endMs = performance.now() + seconds * 1000;
    let done = 0;
    const caller = async (): Promise<void> => {
      while (performance.now() < endMs) {
        const put: PutOperation<string> = { put: [keyOf(turn % announcedKeys), values[turn % values.length] ?? ''] };
        turn += 1;
        const outcome = await data.change([put], { phases: 'one' });
        if (outcome.kind !== 'committed') throw new Error(`a change ended ${outcome.kind}: ${whyNot(outcome)}`);
        done += 1;
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return { updates: done, version: data.tip?.version ?? 0 };
  },
  single({ seconds, wait, most }) {
    return timeEach(seconds, () => committed(puts(1), wait), most);
  },
  memory: () => sampleMemory(),
  account: () => ({ digest: data.stateDigest(), counters: master.status().counters, cpuUs: cpuUs(), cpu: cpu() }),
  async load({ keys, slaves }) {
    await ready(slaves);
    for (let put = 0; put < keys; put += 1000) {
      const count = Math.min(1000, keys - put);
      await committed(Array.from({ length: count }, (_, index) => putOf(put + index, put + index)));
    }
    return { version: data.tip?.version ?? 0 };
  },
  beginLive({ keys, perSecond }) {
    live = new Live((count) => committed([putOf((count * 7919) % keys, count)]), perSecond);
    return null;
  },
  async endLive() {
    if (live === null) throw new Error('nothing changes');
    const changes = await live.end();
    return { ...changes, version: data.tip?.version ?? 0 };
  },
  watchMemory() {
    watch = new MemoryWatch();
    return null;
  },
  peakMemory() {
    if (watch === null) throw new Error('the memory is not watched');
    return watch.end();
  },
  async activate({ inMs }) {
    const { version } = (await scheduled(inMs)).tip;
    for (;;) {
      const { activation } = data.dataSet.view();
      if (activation?.version === version && activation.exposed === activation.of) {
        const { spreadMs, boundMs } = activation;
        if (spreadMs === null || boundMs === null) throw new Error('no node knew when it showed the change');
        const [exposedUs] = exposures.of(version);
        if (exposedUs === undefined) throw new Error(`version ${version} was reported everywhere, and not shown here`);
        return { version, exposedUs, spreadMs, boundMs };
      }
      await pause(10);
    }
  },
  wake: ({ atUs }) => callsAt(atUs, 1),
  sent: () => ({ version: data.tip?.version ?? 0, counters: master.status().counters as Sent['counters'], cpu: cpu() }),
});

function noting<Handle>(kind: MasterKind<Handle>): MasterKind<Handle> {
  return { create: (context) => exposures.noting(kind.create(context)) };
}

/** A busy machine makes answers slow, and a large group needs more time to arm: the product says how much, and it is asked again. */
async function scheduled(inMs: number, attempts = 4): Promise<Extract<ScheduledChangeOutcome, { kind: 'committed' }>> {
  let why = '';
  for (let attempt = 0, aheadMs = inMs; attempt < attempts; attempt += 1, aheadMs *= 2) {
    try {
      const outcome = await data.change(puts(1), { activateAt: { inMs: aheadMs }, wait: 'exposed' });
      if (outcome.kind === 'committed') return outcome;
      why = JSON.stringify(outcome);
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code !== 'instant-too-early') throw error;
      why = error.message;
    }
  }
  throw new Error(`a scheduled change was not shown, ${attempts} times: ${why}`);
}

async function ready(slaves: number): Promise<void> {
  await data.dataSet.leading();
  while (data.dataSet.members().filter((member) => member.live).length < slaves) await pause(10);
}

/** As many keys as asked for, where `keyOf` has only those of the other runs. */
function putOf(key: number, value: number): PutOperation<string> {
  return { put: [`key-${String(key).padStart(8, '0')}`, valueOf(value)] };
}

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
  if (outcome.kind !== 'committed') throw new Error(`a change ended ${outcome.kind}: ${whyNot(outcome)}`);
}

/** The reason, with the first of those who refused. */
function whyNot(outcome: Exclude<ChangeOutcome, { readonly kind: 'committed' }>): string {
  const [refusal] = outcome.kind === 'aborted' ? outcome.refusals : [];
  return refusal === undefined ? outcome.reason : `${outcome.reason}, ${refusal.node}: ${refusal.reason}`;
}
