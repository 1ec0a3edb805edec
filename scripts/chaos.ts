import { Command, InvalidArgumentError } from 'commander';
import { seededRandom, type Random } from '../shared/protocol/kernel/random.js';
import { faultKinds, type Stage } from './chaos/faults.js';
import { cannotRunHere, isUnfitFor, raiseGroup } from './chaos/group.js';
import { noNetworkFaults } from './chaos/network.js';
import type { ChaosNode } from './chaos/node.js';
import { ChaosRecord, reportText } from './chaos/record.js';
import type { Account } from './chaos/words.js';

/**
 * Real processes on hosts of their own, joined by a switch, under load, and everything that can happen to a network:
 * `npm run chaos -- --minutes 2`. The seed names the faults, not their outcome: these are real processes.
 */
const exitCodes = { ok: 0, failed: 1, cannotRunHere } as const;

const group = '239.255.213.1';
const groupPort = 7401;
const faultMs = { least: 2000, most: 5000 };
const calmMs = 1000;
const convergeMs = 60_000;

interface ChaosFlags {
  readonly minutes: number;
  readonly slaves: number;
  readonly seed: number;
  readonly json?: true;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0) || value > 10_000) throw new InvalidArgumentError('give a number above 0');
  return value;
}

function wait(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

async function main(): Promise<number> {
  const program = new Command('chaos')
    .description('a group on network namespaces, under load and under every fault of a network')
    .option('--minutes <minutes>', 'how long faults go on; longer where not every kind came by then', positive, 2)
    .option('--slaves <count>', 'how many', positive, 10)
    .option('--seed <seed>', 'of the faults and their order', Number, Date.now() % 1_000_000)
    .option('--json', 'print the report as one line of JSON');
  program.parse();
  const flags = program.opts<ChaosFlags>();
  if (isUnfitFor('chaos')) return exitCodes.cannotRunHere;
  const say = (line: string): void => {
    if (flags.json !== true) process.stdout.write(`${line}\n`);
  };
  const record = new ChaosRecord();
  const { network, master, slaves } = raiseGroup({
    name: 'chaos',
    group: `${group}:${groupPort}`,
    slaves: Math.ceil(flags.slaves),
    onReport: (node, report) => {
      record.note(node, report);
    },
  });
  const nodes = [master, ...slaves];
  say(`seed ${flags.seed} · ${slaves.length} slaves`);
  await Promise.all(nodes.map((node) => node.start()));
  await until(
    'every copy has something',
    async () => (await copiesThat(slaves, ({ tip }) => tip !== null)) === slaves.length,
  );
  const stage: Stage = { network, master, slaves, group };
  const startedMs = performance.now();
  await playFaults(stage, { endMs: startedMs + flags.minutes * 60_000, random: seededRandom(flags.seed), record, say });
  network.apply(noNetworkFaults);
  master.tell({ kind: 'rest' });
  record.convergedMs = await converged(stage);
  if (record.convergedMs === null) record.apart = await apart(stage);
  const report = record.report({ seed: flags.seed, minutes: (performance.now() - startedMs) / 60_000, nodes });
  process.stdout.write(flags.json === true ? `${JSON.stringify(report)}\n` : reportText(report));
  return report.failures.length === 0 ? exitCodes.ok : exitCodes.failed;
}

async function playFaults(
  stage: Stage,
  run: {
    readonly endMs: number;
    readonly random: Random;
    readonly record: ChaosRecord;
    readonly say: (line: string) => void;
  },
): Promise<void> {
  // The first lot is played to its end whatever it takes: a run on a busy machine leaves no kind out.
  let coming = shuffled(faultKinds, run.random);
  let isFirstLot = true;
  while (isFirstLot || performance.now() < run.endMs) {
    const fault = coming.shift();
    if (fault === undefined) throw new Error('there are no kinds of faults');
    if (coming.length === 0) {
      coming = shuffled(faultKinds, run.random);
      isFirstLot = false;
    }
    const ongoing = await fault.begin(stage, run.random);
    run.record.noteFault(fault.name);
    run.say(`${fault.name}: ${ongoing.detail}`);
    await wait(faultMs.least + run.random.next() * (faultMs.most - faultMs.least));
    await ongoing.end();
    await wait(calmMs);
    for (const node of [stage.master, ...stage.slaves]) await node.account(500);
  }
}

function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  return items
    .map((item) => ({ item, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

async function copiesThat(
  slaves: readonly ChaosNode[],
  holds: (account: { tip: string | null; digest: string }) => boolean,
): Promise<number> {
  const accounts = await Promise.all(slaves.map((slave) => slave.account()));
  return accounts.filter((account) => account !== null && holds(account)).length;
}

/** How long it took until every copy had the content of the original; null when it never did. */
async function converged({ master, slaves }: Stage): Promise<number | null> {
  const startedMs = performance.now();
  while (performance.now() - startedMs < convergeMs) {
    const original = await master.account();
    if (original !== null) {
      const same = await copiesThat(slaves, ({ tip, digest }) => tip === original.tip && digest === original.digest);
      const after = await master.account();
      if (same === slaves.length && after?.tip === original.tip) return performance.now() - startedMs;
    }
    await wait(200);
  }
  return null;
}

/** Who isn't equal to the original, for whoever has to find out why. */
async function apart({ master, slaves }: Stage): Promise<readonly string[]> {
  const original = await master.account();
  const told = (name: string, account: Account | null): string =>
    account === null
      ? `${name} does not answer`
      : `${name} is ${account.states.join(' and ')} at ${account.tip ?? 'nothing'}`;
  const copies = await Promise.all(slaves.map(async (slave) => ({ slave, account: await slave.account() })));
  return [
    told('the original', original),
    ...copies
      .filter(({ account }) => account === null || account.digest !== original?.digest || account.tip !== original.tip)
      .map(({ slave, account }) => told(slave.name, account)),
  ];
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + convergeMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`${what}: not within ${convergeMs} ms`);
    await wait(200);
  }
}

process.exit(await main());
