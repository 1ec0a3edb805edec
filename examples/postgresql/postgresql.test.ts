import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Loopback } from '../../tests/integration/process/loopback.js';
import { eventually } from '../../tests/integration/process/lockstep-process.js';
import { PostgresqlServer, skipsPostgresql } from '../../tests/support/postgresql-server.js';
import { PriceCopy } from './price-copy.js';
import { PriceTable } from './price-table.js';

const skips = skipsPostgresql('the PostgreSQL example');

let folder = '';
let server: PostgresqlServer;

beforeAll(async () => {
  if (skips) return;
  folder = await mkdtemp(join(tmpdir(), 'lockstep-prices-'));
  server = await PostgresqlServer.start();
}, 120_000);

afterAll(async () => {
  if (skips) return;
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

async function database(name: string): Promise<PriceTable> {
  await server.createDatabase(name);
  return PriceTable.connect(server.connection(name));
}

test.skipIf(skips)(
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
    const failing = await PriceTable.connect(server.connection('prices'));
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
    const recovered = await PriceTable.connect(server.connection('prices'));
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
