import { keyValue, Slave, type SlaveKeyValue } from '../../slave/index.js';
import { contentOf, countersOf, hear, securityOptions, tell } from './child.js';
import { dataSet, scheduledSet, sharedMs, type NodeSetup } from './words.js';

/** A slave on a host: says what its readers could see, and how long it was in doubt. */
const tellMs = 50;
/** How often it is asked whether it is current. */
const lookMs = 5;

let slave: Slave | null = null;
let data: SlaveKeyValue<{ readonly veto?: string }> | null = null;
let scheduled: SlaveKeyValue<string> | null = null;
let exposed: string[] = [];
/** By version, when the copy with scheduled changes last called itself current at it. */
const currentAt = new Map<number, number>();

async function open(setup: NodeSetup): Promise<void> {
  slave = await Slave.open({
    ...setup,
    ...securityOptions,
    log: {
      wants: (name) => name === 'exposed' || name === 'activated' || name === 'activated late',
      record: ({ name, fields }) => {
        const { dataSet: of, epoch, version, lateMs } = fields;
        if (name === 'exposed') exposed.push(`${String(of)} ${String(epoch)}.${String(version)}`);
        else tell({ kind: 'activated', lateMs: typeof lateMs === 'number' ? lateMs : null });
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
  scheduled = await slave.register(scheduledSet, keyValue<string>());
  setInterval(look, lookMs);
  setInterval(report, tellMs);
  tell({ kind: 'opened' });
}

/**
 * Of what readers see. The time is taken first: a process that is stopped in between tells of less than it saw, and of nothing that
 * wasn't.
 */
function look(): void {
  const atMs = sharedMs();
  if (scheduled === null || scheduled.tip === null || scheduled.state !== 'current') return;
  currentAt.set(scheduled.tip.version, atMs);
}

function report(): void {
  for (const [version, atMs] of currentAt) tell({ kind: 'current', version, atMs });
  currentAt.clear();
  if (exposed.length > 0) tell({ kind: 'exposed', versions: exposed });
  exposed = [];
  const ages = data?.dataSet.view().inDoubt.map(({ ageMs }) => ageMs) ?? [];
  if (ages.length > 0) tell({ kind: 'in doubt', longestMs: Math.max(...ages) });
}

hear(async (order) => {
  if (order.kind === 'open') return open(order.setup);
  if (order.kind !== 'account' || data === null || scheduled === null || slave === null) return;
  report();
  const views = [data, scheduled].map(({ dataSet }) => dataSet.view());
  tell({
    kind: 'account',
    account: {
      ...contentOf([data, scheduled]),
      states: views.map(({ state }) => state),
      repairs: views.reduce((total, { repairs }) => total + repairs, 0),
      snapshots: views.reduce((total, { snapshots }) => total + snapshots, 0),
      fragmentsResent: countersOf(slave.status().counters).fragmentsResent,
      unreached: [],
    },
  });
});
