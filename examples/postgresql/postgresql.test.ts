import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Loopback } from '../../tests/integration/process/loopback.js';
import { eventually } from '../../tests/integration/process/lockstep-process.js';
import { PriceCopy } from './price-copy.js';
import { PriceTable } from './price-table.js';

/** Where Debian's packages put the server. */
function serverFolder(): string | null {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(root, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb'))) ?? null;
}

const bin = serverFolder();
const isContinuousIntegration = (process.env['CI'] ?? '') !== '';
if (bin === null && !isContinuousIntegration)
  console.warn(
    '\n!!! SKIPPED: the PostgreSQL example is not tested, since there is no server; apt-get install postgresql !!!\n',
  );

/** A server refuses to run as root: then it runs as the user that its package has made. */
const asServerUser =
  process.getuid?.() === 0 ? ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups'] : [];

let folder = '';
let server: ChildProcess | null = null;

function connection(database: string): { host: string; user: string; database: string } {
  return { host: folder, user: 'lockstep', database };
}

beforeAll(async () => {
  if (bin === null) {
    if (isContinuousIntegration) throw new Error('there is no PostgreSQL server here; apt-get install postgresql');
    return;
  }
  folder = await mkdtemp(join(tmpdir(), 'lockstep-pg-'));
  if (asServerUser.length > 0) chownSync(folder, idOf('-u'), idOf('-g'));
  const data = join(folder, 'data');
  const [program = '', ...parameters] = [
    ...asServerUser,
    join(bin, 'initdb'),
    '-D',
    data,
    '-U',
    'lockstep',
    '-A',
    'trust',
    '-E',
    'UTF8',
  ];
  execFileSync(program, parameters, { cwd: folder, stdio: 'pipe' });
  // On a socket in its own folder: no port is taken, and nobody else reaches it.
  const serve = [...asServerUser, join(bin, 'postgres'), '-D', data, '-k', folder, '-c', 'listen_addresses='];
  server = spawn(serve[0] ?? '', serve.slice(1), { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr?.on('data', (text: Buffer) => (said += text.toString()));
  await eventually(
    'the server',
    () => (said.includes('ready to accept connections') ? true : undefined),
    60_000,
    () => said,
  );
}, 120_000);

afterAll(async () => {
  if (server !== null && server.exitCode === null) {
    const ended = once(server, 'exit');
    server.kill('SIGINT'); // its fast shutdown
    await ended;
  }
  if (folder !== '') await rm(folder, { recursive: true, force: true });
}, 60_000);

function idOf(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'postgres']).toString());
}

async function database(name: string): Promise<PriceTable> {
  const client = new Client(connection('postgres'));
  await client.connect();
  await client.query(`CREATE DATABASE ${name}`);
  await client.end();
  return PriceTable.connect(connection(name));
}

test.skipIf(bin === null && !isContinuousIntegration)(
  'prices go from a table to every slave, or are refused and leave no trace; a restart and a newcomer find them',
  async () => {
    await using group = await Loopback.start();
    const table = await database('prices');
    const master = await group.master();
    const prices = await master.register('prices', table);
    const copy = new PriceCopy(join(folder, 'a.json'), 5000);
    const slave = await (await group.slave('a')).register('prices', copy);
    const all = { voters: 'all', wait: 'exposed' } as const;
    await eventually('the member', () => (prices.members().length === 1 ? true : undefined));

    const first = await prices.replicate({ version: await table.propose({ tea: 450, "o'hara": 5 }), ...all });
    expect(first).toMatchObject({ kind: 'committed', tip: { version: 1 } });
    expect(copy.prices).toEqual({ tea: 450, "o'hara": 5 });
    const refused = await prices.replicate({ version: await table.propose({ tea: 1, gold: 9900 }), ...all });
    expect(refused).toMatchObject({
      kind: 'aborted',
      refusals: [{ node: 'a', reason: 'gold costs more than 5000 cents' }],
    });
    expect(await table.prices()).toEqual({ "o'hara": 5, tea: 450 });
    await expect(table.propose({ tea: -1 })).rejects.toThrow('tea: a price is a whole number of cents above 0, not -1');
    const third = await prices.replicate({ version: await table.propose({ "o'hara": null, cup: 1200 }), ...all });
    expect(third).toMatchObject({ kind: 'committed', tip: { version: 3 } });
    expect(copy.prices).toEqual({ tea: 450, cup: 1200 });
    expect(await table.prices()).toEqual(copy.prices);

    const late = new PriceCopy(join(folder, 'b.json'), 5000);
    await (await (await group.slave('b')).register('prices', late)).reached(3, { timeoutMs: 10_000 });
    expect(late.prices).toEqual(copy.prices);

    // The master dies after the decision and before the table has it: the next start brings it there.
    await master.close();
    await table.close();
    const failing = await PriceTable.connect(connection('prices'));
    failing.committed = () => Promise.reject(new Error('the connection is lost'));
    const second = await group.master();
    const again = await second.register('prices', failing);
    await eventually('the members', () => (again.members().every(({ live }) => live) ? true : undefined));
    const decided = await again.replicate({ version: await failing.propose({ tea: 500 }), voters: 'all' });
    expect(decided).toMatchObject({ kind: 'committed', tip: { version: 4 } });
    await slave.reached(4, { timeoutMs: 10_000 });
    expect(await failing.prices()).toEqual({ tea: 450, cup: 1200 });
    await second.close();
    await failing.close();
    const recovered = await PriceTable.connect(connection('prices'));
    const last = await group.master();
    const back = await last.register('prices', recovered);
    await back.leading();
    expect(back.tip?.version).toBe(4);
    expect(await recovered.prices()).toEqual({ tea: 500, cup: 1200 });
    await last.close();
    await recovered.close();
  },
  120_000,
);
