import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import type { Store } from '../../../shared/runtime/ports.js';
import { SimBulkNetwork } from '../sim/bulk.js';
import { SimClock, SimProcess, Timeline } from '../sim/clock.js';
import { SimDisk } from '../sim/disk.js';
import { SimNetwork } from '../sim/network.js';
import { bulkConformance } from './bulk-conformance.js';
import { clockConformance } from './clock-conformance.js';
import { defaultDeadlineMs, type ConformanceTime } from './harness.js';
import { storeConformance, storeCrashConformance, type CrashingStoreHarness } from './store-conformance.js';
import { transportConformance } from './transport-conformance.js';

const perfect = { offsetMs: 0, wallOffsetMs: 0, rate: 1 };

/** Virtual time, moved on in small steps. */
function virtualTime(timeline: Timeline): ConformanceTime {
  return {
    async until(condition, what, deadlineMs = defaultDeadlineMs) {
      const endMs = timeline.nowMs + deadlineMs;
      for (;;) {
        await timeline.runUntil(timeline.nowMs + 0.1, condition);
        if (condition()) return;
        if (timeline.nowMs >= endMs) throw new Error(`${what}: not within ${deadlineMs} ms`);
      }
    },
    async pass(durationMs) {
      await timeline.runUntil(timeline.nowMs + durationMs);
    },
  };
}

clockConformance('simulated', async () => {
  const timeline = new Timeline();
  return { time: virtualTime(timeline), clock: new SimClock(new SimProcess('n', timeline, perfect)) };
});

transportConformance('simulated', async () => {
  const timeline = new Timeline();
  const network = new SimNetwork({ timeline, random: seededRandom(1), maxDatagramBytes: 1432 });
  let nodes = 0;
  return {
    time: virtualTime(timeline),
    async node() {
      nodes += 1;
      return network.attach(new SimProcess(`n${nodes}`, timeline, perfect));
    },
    deadAddress: async () => '10.0.9.9:1',
    close: async () => undefined,
  };
});

bulkConformance('simulated', async () => {
  const timeline = new Timeline();
  const network = new SimNetwork({ timeline, random: seededRandom(1), maxDatagramBytes: 1432 });
  const bulks = new SimBulkNetwork({ timeline, network });
  let nodes = 0;
  return {
    time: virtualTime(timeline),
    async node() {
      nodes += 1;
      const name = `n${nodes}`;
      const bulk = bulks.attach(new SimProcess(name, timeline, perfect));
      return { bulk, address: `${network.hostOf(name)}:${bulk.port}` };
    },
    close: async () => undefined,
  };
});

async function simulatedStore(): Promise<CrashingStoreHarness> {
  const timeline = new Timeline();
  const disk = new SimDisk('n', { timeline, random: seededRandom(1) });
  let process: SimProcess | null = null;
  return {
    time: virtualTime(timeline),
    async open(): Promise<Store> {
      process?.end();
      process = new SimProcess('n', timeline, perfect);
      return disk.open(process);
    },
    async crash() {
      process?.end();
    },
    close: async () => undefined,
  };
}

storeConformance('simulated', simulatedStore);
storeCrashConformance('simulated', simulatedStore);
