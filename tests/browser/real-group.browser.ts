import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ProcessGroup } from '../integration/process/lockstep-process.js';
import { TestBrowser } from './chromium.js';
import { headline, openPage } from './open-page.js';

/** Nothing is made up here: a master and three slaves, each a process of its own, and the page that the master serves. */
const eventually = { timeout: 30_000, interval: 100 };

test(
  'a real group: a change, a veto, a slave that is killed and comes back, the master too',
  { timeout: 150_000 },
  async () => {
    await using group = await ProcessGroup.start();
    await using browser = await TestBrowser.start();
    const validator = join(group.folder, 'positive.mjs');
    await writeFile(
      validator,
      "export const validate = (operation) => !('put' in operation) || operation.put[1] > 0 || 'must be positive';\n",
    );
    const master = group.master();
    const slave = (name: string): ReturnType<ProcessGroup['slave']> =>
      group.slave(name, '--http', '127.0.0.1:0', ...(name === 'b' ? ['--validate', validator] : []));
    const slaves = ['a', 'b', 'c'].map(slave);
    await Promise.all(slaves.map((each) => group.ready(each).catch(() => undefined)));
    const url = await group.ready(master);
    const put = async (key: string, value: number): Promise<number> => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${url}/v1/data/default/${key}`, { method: 'PUT', headers, body: String(value) });
      return response.status;
    };

    await using opened = await openPage(browser, url);
    const { page } = opened;
    await expect.poll(() => page.locator('.well .node .name').allTextContents(), eventually).toEqual(['a', 'b', 'c']);
    expect(await put('sku-1', 5)).toBe(200);
    await expect.poll(() => headline(page), eventually).toBe('All 3 slaves are current at version 1');

    expect(await put('sku-1', -5)).toBe(409);
    await expect.poll(() => headline(page), eventually).toMatch(/^b vetoed version 2: .*must be positive$/);

    expect(await put('sku-1', 6)).toBe(200);
    await expect.poll(() => headline(page), eventually).toMatch(/^All 3 slaves are current at version \d+$/);

    slaves[2]?.signal('SIGKILL');
    await expect.poll(() => headline(page), eventually).toMatch(/^c hasn't been heard for \d+ s$/);
    expect(await page.locator('.silent .node .name').allTextContents()).toEqual(['c']);
    await slaves[2]?.ended;
    slave('c');
    await expect.poll(() => headline(page), eventually).toMatch(/^All 3 slaves are current at version \d+$/);

    // Its own last words, and not only that the line went dead.
    master.signal('SIGTERM');
    await expect
      .poll(() => page.locator('#banner').textContent(), eventually)
      .toMatch(/^No connection: .* What you see is \d+ s old/);
    await master.ended;
    expect(opened.errors).toEqual([]);
    expect(opened.elsewhere).toEqual([]);
  },
);
