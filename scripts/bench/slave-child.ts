import { keyValue, Slave, type SlaveKeyValue } from '../../slave/index.js';
import { cpu, cpuUs, sampleMemory, serve } from './serve.js';
import { workload, type SlaveTasks } from './tasks.js';

let slave: Slave;
let data: SlaveKeyValue<string>;

serve<SlaveTasks>({
  async open({ name, store, group, durability, keys }) {
    const secured = keys === undefined ? {} : { keys: { text: keys } };
    slave = await Slave.open({ name, store, group, interface: '127.0.0.1', durability, ...secured });
    data = await slave.register(workload.dataSet, keyValue<string>());
    return null;
  },
  async reached({ version, timeoutMs }) {
    await data.reached(version, { timeoutMs });
    return null;
  },
  memory: () => sampleMemory(),
  account: () => ({ digest: data.stateDigest(), counters: slave.status().counters, cpuUs: cpuUs(), cpu: cpu() }),
});
