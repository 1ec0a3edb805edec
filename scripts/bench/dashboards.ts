import { randomInt } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/**
 * `npx tsx scripts/bench/dashboards.ts [SECONDS]`: what open dashboards cost the master. One master and three slaves, each a
 * process of its own, with a steady load of changes; the processor time of the master while 0, 1, 2 and 10 dashboards are
 * open, taken in turns so that what else the machine does is spread over all of them. Processor time, and not time that passes:
 * a busy machine changes it little.
 */
const seconds = Number(process.argv[2] ?? 4);
const dashboards = [0, 1, 2, 10] as const;
const turns = 4;
const changesPerSecond = 50;
const root = join(import.meta.dirname, '../..');
const folder = await mkdtemp(join(tmpdir(), 'lockstep-dashboards-'));
const children: ChildProcess[] = [];
const ticksPerSecond = 100; // USER_HZ, which Linux has fixed for programs.

try {
  const group = `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${randomInt(20_000, 60_000)}`;
  const master = await start('master', '--group', group, '--http', '127.0.0.1:0', '--durability', 'memory');
  for (const name of ['a', 'b', 'c'])
    await start('slave', '--name', name, '--group', group, '--http', '127.0.0.1:0', '--durability', 'memory');
  while ((await fetch(`${master.url}/readyz`)).status !== 200) await wait(50);
  const used = new Map(dashboards.map((count) => [count, [] as number[]]));
  let changes = 0;
  const load = setInterval(() => {
    changes += 1;
    const headers = { 'content-type': 'application/json' };
    void fetch(`${master.url}/v1/data/default/k${changes % 100}`, { method: 'PUT', headers, body: '1' }).then(
      (answer) => answer.text(),
    );
  }, 1000 / changesPerSecond);
  for (let turn = 0; turn < turns; turn += 1) {
    for (const count of dashboards) used.get(count)?.push(await share(master, count));
  }
  clearInterval(load);
  console.log(
    `${changes} changes with ${changesPerSecond} a second, 3 slaves; processor time of the master, middle of ${turns} turns of ${seconds} s:`,
  );
  const without = middle(used.get(0) ?? []);
  for (const [count, shares] of used) {
    const each = shares.map((value) => `${(value * 100).toFixed(1)} %`).join(', ');
    console.log(
      `${String(count).padStart(2)} dashboards: ${(middle(shares) * 100).toFixed(1)} % of a core (${each}) · ratio ${(middle(shares) / without).toFixed(2)}`,
    );
  }
} finally {
  for (const child of children) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

interface Running {
  readonly pid: number;
  readonly url: string;
}

async function start(...parameters: string[]): Promise<Running> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(root, 'cli/main.ts'), ...parameters, '--store', join(folder, String(children.length))],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  children.push(child);
  let out = '';
  for (;;) {
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
    out += chunk.toString();
    const url = /(http:\/\/\S+)/.exec(out)?.[1];
    if (url !== undefined && child.pid !== undefined) return { pid: child.pid, url };
  }
}

/** Of a core, while so many dashboards listen, and read what they get. */
async function share(master: Running, count: number): Promise<number> {
  const control = new AbortController();
  const streams = await Promise.all(
    Array.from({ length: count }, () => fetch(`${master.url}/v1/live`, { signal: control.signal })),
  );
  const read = streams.map(async (stream) => stream.text().catch(() => ''));
  await wait(500);
  const [before, beforeMs] = [await cpuSeconds(master.pid), performance.now()];
  await wait(seconds * 1000);
  const usedSeconds = (await cpuSeconds(master.pid)) - before;
  const passedSeconds = (performance.now() - beforeMs) / 1000;
  control.abort();
  await Promise.all(read);
  return usedSeconds / passedSeconds;
}

async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function middle(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const half = sorted.length / 2;
  return ((sorted[Math.floor(half)] ?? 0) + (sorted[Math.ceil(half) - 1] ?? 0)) / 2;
}
