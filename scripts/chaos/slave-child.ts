import { tipKey } from '../../shared/protocol/kernel/ids.js';
import { keyValue, Slave, type SlaveKeyValue } from '../../slave/index.js';
import { countersOf, hear, securityOptions, tell } from './child.js';
import { dataSet, type NodeSetup } from './words.js';

/** A slave on a host: says what its readers could see, and how long it was in doubt. */
const tellMs = 50;

let slave: Slave | null = null;
let data: SlaveKeyValue<{ readonly veto?: string }> | null = null;
let exposed: string[] = [];

async function open(setup: NodeSetup): Promise<void> {
  slave = await Slave.open({
    ...setup,
    ...securityOptions,
    log: {
      wants: (name) => name === 'exposed',
      record: ({ name, fields }) => {
        if (name === 'exposed') exposed.push(`${String(fields['epoch'])}.${String(fields['version'])}`);
      },
    },
  });
  data = await slave.register(
    dataSet,
    keyValue<{ readonly veto?: string }>({
      validate: (operation) =>
        'put' in operation && operation.put[1].veto === setup.name ? 'vetoed on purpose' : true,
    }),
  );
  setInterval(report, tellMs);
  tell({ kind: 'opened' });
}

function report(): void {
  if (exposed.length > 0) tell({ kind: 'exposed', versions: exposed });
  exposed = [];
  const ages = data?.dataSet.view().inDoubt.map(({ ageMs }) => ageMs) ?? [];
  if (ages.length > 0) tell({ kind: 'in doubt', longestMs: Math.max(...ages) });
}

hear(async (order) => {
  if (order.kind === 'open') return open(order.setup);
  if (order.kind !== 'account' || data === null || slave === null) return;
  report();
  const view = data.dataSet.view();
  tell({
    kind: 'account',
    account: {
      tip: data.tip === null ? null : tipKey(data.tip),
      digest: data.stateDigest(),
      state: view.state,
      repairs: view.repairs,
      snapshots: view.snapshots,
      fragmentsResent: countersOf(slave.status().counters).fragmentsResent,
      unreached: [],
    },
  });
});
