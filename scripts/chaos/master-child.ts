import { keyValue, Master, type MasterKeyValue } from '../../master/index.js';
import { contentOf, countersOf, hear, securityOptions, tell } from './child.js';
import { Schedule } from './schedule.js';
import { dataSet, scheduledSet, type NodeSetup } from './words.js';

/** The master on its host, and the load: changes in two phases, one after the other on each of some lanes, without end. */
const lanes = 4;
const pauseMs = 10;
const keys = 400;
/** Now and then a change that needs many datagrams, and one that a slave vetoes. */
const largeEvery = 25;
const largeCharacters = 40_000;
const vetoEvery = 12;
const timeoutMs = 2000;

interface Value {
  readonly text: string;
  readonly veto?: string;
}

let master: Master | null = null;
let data: MasterKeyValue<Value> | null = null;
let schedule: Schedule | null = null;
let isResting = false;
let count = 0;

async function open(setup: NodeSetup): Promise<void> {
  master = await Master.open({
    ...setup,
    ...securityOptions,
    log: {
      wants: (name) => name === 'halted' || tellsOfRounds(name) || Schedule.tellsOf(name),
      record: ({ name, fields }) => {
        const of = fields['dataSet'];
        if (name === 'halted') process.stderr.write(`halted: ${JSON.stringify(fields)}\n`);
        if (of === scheduledSet) schedule?.onEvent(name, fields);
        if (name === 'committed' && of === dataSet) tell({ kind: 'committed' });
        if (name !== 'aborted') return;
        const reign = (of === dataSet ? data : schedule?.data)?.dataSet.view().epoch.number ?? 0;
        tell({
          kind: 'aborted',
          version: `${String(of)} ${reign}.${String(fields['version'])}`,
          reason: String(fields['reason']),
        });
      },
    },
  });
  data = await master.register(dataSet, keyValue<Value>(), { phases: 'two', timeoutMs });
  schedule = new Schedule(await master.register(scheduledSet, keyValue<string>(), { phases: 'two', timeoutMs }));
  tell({ kind: 'opened' });
  void schedule.run();
  for (let lane = 0; lane < lanes; lane += 1) void load(data);
}

function tellsOfRounds(name: string): boolean {
  return name === 'aborted' || name === 'committed';
}

async function load(original: MasterKeyValue<Value>): Promise<void> {
  await original.dataSet.leading();
  while (!isResting) {
    count += 1;
    const members = original.dataSet.members().filter(({ live }) => live);
    const vetoer = count % vetoEvery === 0 ? members[count % Math.max(1, members.length)]?.node : undefined;
    const text = count % largeEvery === 0 ? String(count).padEnd(largeCharacters, '.') : `change ${count}`;
    const value: Value = vetoer === undefined ? { text } : { text, veto: vetoer };
    // A majority has to vote: with the policy "live" a master that nobody hears goes on alone, and tests nothing. Not all
    // lanes at one key, and never the same value twice: an unchanged one takes no version.
    const voters = 1 + Math.floor(original.dataSet.members().length / 2);
    const outcome = await original
      .change([{ put: [`key ${(count * 7) % keys}`, value] }], { voters })
      .catch((error: unknown) => ({ kind: 'refused', reason: error instanceof Error ? error.message : '' }) as const);
    const how = 'reason' in outcome ? `${outcome.kind}: ${outcome.reason}` : outcome.kind;
    tell({ kind: 'change', how });
    await new Promise((resolve) => setTimeout(resolve, outcome.kind === 'committed' ? pauseMs : 10 * pauseMs));
  }
}

hear(async (order) => {
  if (order.kind === 'open') return open(order.setup);
  if (order.kind === 'rest') {
    isResting = true;
    schedule?.rest();
  }
  if (order.kind !== 'account' || data === null || master === null || schedule === null) return;
  const both = [data, schedule.data];
  tell({
    kind: 'account',
    account: {
      ...contentOf(both),
      states: both.map(({ dataSet }) => dataSet.view().phase),
      repairs: 0,
      snapshots: both
        .flatMap(({ dataSet }) => dataSet.members())
        .reduce((total, { snapshots }) => total + snapshots, 0),
      fragmentsResent: countersOf(master.status().counters).fragmentsResent,
      unreached: master.network().unreached,
    },
  });
});
