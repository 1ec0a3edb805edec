import { randomInt } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../tests/integration/process/loopback.js';
import { eventually } from '../../tests/integration/process/lockstep-process.js';
import { Program } from '../../tests/support/program.js';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-fastify-pricing-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function answer(url: string, body?: object): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(url, {
    ...(body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

/** As its README tells it. */
test(
  'prices orders from its copy, follows changes, vetoes bad prices and outlives the master',
  { timeout: 90_000 },
  async () => {
    const group = ['--group', `239.255.${randomInt(1, 255)}.2:${await freePort()}`];
    const shopOptions = ['--name', 'shop-1', '--port', '0', '--store', join(folder, 'shop-1')];
    await using shop = new Program('examples/fastify-pricing/service.ts', ...group, ...shopOptions);
    const url = (await shop.printed(/http:\/\/\S+/))[0];
    expect(await answer(`${url}/readyz`)).toEqual({ status: 503, body: { state: 'catching up', version: 0 } });

    await using feed = new Program('examples/fastify-pricing/feed.ts', ...group, '--store', join(folder, 'feed'));
    feed.say('{"tea": {"cents": 450}, "mug": {"cents": 1200}}');
    await feed.printed(/^committed version 1$/m);
    const order = { items: [{ sku: 'tea', quantity: 2 }] };
    await eventually('the price of tea', async () =>
      (await answer(`${url}/orders`, order)).status === 200 ? true : undefined,
    );
    expect(await answer(`${url}/orders`, order)).toEqual({ status: 200, body: { totalCents: 900, version: 1 } });
    // From then on it is asked for its vote.
    await eventually('a current copy', async () => {
      const { status, body } = await answer(`${url}/readyz`);
      return status === 200 && (body as { readonly state: string }).state === 'current' ? true : undefined;
    });

    feed.say('{"tea": {"cents": -5}}');
    await feed.printed(/^aborted: shop-1: put tea: cents: Too small: expected number to be >0$/m);
    expect((await answer(`${url}/orders`, order)).body).toEqual({ totalCents: 900, version: 1 });

    feed.say('{"tea": {"cents": 500}, "mug": null}');
    const [, version] = await feed.printed(/^committed version ([2-9]\d*)$/m);
    await eventually('the new price of tea', async () => {
      const { body } = await answer(`${url}/orders`, order);
      return (body as { readonly version: number }).version === Number(version) ? true : undefined;
    });
    expect((await answer(`${url}/orders`, order)).body).toEqual({ totalCents: 1000, version: Number(version) });
    expect(await answer(`${url}/orders`, { items: [{ sku: 'mug', quantity: 1 }] })).toEqual({
      status: 422,
      body: { error: 'there is no price for mug' },
    });
    expect((await answer(`${url}/orders`, { items: [] })).status).toBe(400);

    expect(await feed.endInput(), feed.err).toBe(0);
    expect(await answer(`${url}/readyz`), 'without a master').toMatchObject({ status: 200 });
    expect((await answer(`${url}/orders`, order)).body).toEqual({ totalCents: 1000, version: Number(version) });
    expect(await shop.signal('SIGTERM')).toBe(0);
    expect(shop.err, "the node logs with the service's own logger").toContain('"msg":"voted no"');
  },
);

test('its README shows what the programs print', async () => {
  const readme = await readFile(join(import.meta.dirname, 'README.md'), 'utf8');
  expect(readme).toContain('aborted: shop-1: put tea: cents: Too small: expected number to be >0');
  expect(readme).toContain('{"totalCents":900,"version":1}');
});
