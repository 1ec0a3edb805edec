import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Finding } from '../../cli/doctor/checks.js';
import { cannotRunHere, isUnfitFor, raiseGroup } from './group.js';
import { noNetworkFaults } from './network.js';
import type { Account } from './words.js';

/**
 * Real processes on network namespaces whose switch drops multicast to some hosts, then to all, then to none: the group
 * goes on by unicast, and back; and `lockstep doctor`, on one of the hosts, says what is wrong. Needs what chaos needs.
 * Exits with 0 when all held, with 1 otherwise, with 18 where it can't run.
 */
const group = '239.255.214.1:7401';
const deadlineMs = 30_000;

async function main(): Promise<number> {
  if (isUnfitFor('find-way')) return cannotRunHere;
  const { network, master, slaves } = raiseGroup({ name: 'find-way', group, slaves: 3, onReport: () => undefined });
  const [, first] = network.hosts;
  if (first === undefined) throw new Error('there are no hosts');
  await Promise.all([master, ...slaves].map((node) => node.start()));
  const unreached = async (): Promise<string> => ((await master.account())?.unreached ?? ['?']).join(' ');
  const everybodyFollows = async (): Promise<boolean> => {
    const before = (await master.account())?.tip ?? null;
    // The load goes on: who is current and has another state than a moment ago gets what is committed meanwhile.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const seen = await Promise.all(slaves.map((slave) => slave.account()));
    const follows = (account: Account | null): boolean =>
      account !== null && account.states.every((state) => state === 'current') && account.tip !== before;
    return before !== null && seen.every(follows);
  };
  const held: boolean[] = [];
  const see = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    const startedMs = performance.now();
    while (!(await holds()) && performance.now() - startedMs < deadlineMs)
      await new Promise((resolve) => setTimeout(resolve, 100));
    const holdsNow = await holds();
    held.push(holdsNow);
    process.stdout.write(`${holdsNow ? 'ok  ' : 'FAIL'} ${what} (${Math.round(performance.now() - startedMs)} ms)\n`);
  };
  await see(
    'with multicast everybody is current, and nobody is unreached',
    async () => (await everybodyFollows()) && (await unreached()) === '',
  );
  network.apply({ ...noNetworkFaults, withoutMulticast: new Set([first]) });
  await see(
    'without multicast to s1 the master sends to s1 by unicast, and to nobody else',
    async () => (await unreached()) === 's1',
  );
  await see('… and everybody is current', everybodyFollows);
  await see('… and doctor on s1 finds that multicast is not heard there', async () =>
    doctorOn(first.namespace, first.address).some(
      ({ check, level, text }) => check === 'node-master' && level === 'warn' && text.includes('not heard here'),
    ),
  );
  network.apply({ ...noNetworkFaults, withoutMulticast: new Set(network.hosts) });
  await see('without any multicast all three are sent to by unicast', async () => (await unreached()) === 's1 s2 s3');
  await see('… and everybody is current', everybodyFollows);
  network.apply(noNetworkFaults);
  await see('with multicast again nobody is', async () => (await unreached()) === '');
  await see('… and everybody is current', everybodyFollows);
  const failed = held.filter((holds) => !holds).length;
  process.stdout.write(`${held.length - failed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

function doctorOn(namespace: string, address: string): readonly Finding[] {
  const program = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
  const command = [process.execPath, '--import', import.meta.resolve('tsx'), program, 'doctor', '--json'];
  const flags = ['--interface', address, '--group', group, '--store', tmpdir()];
  const { stdout } = spawnSync('ip', ['netns', 'exec', namespace, ...command, ...flags], { encoding: 'utf8' });
  return (JSON.parse(stdout) as { readonly findings: readonly Finding[] }).findings;
}

process.exit(await main());
