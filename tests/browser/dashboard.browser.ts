import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newToken, parseTokens } from '../../shared/http/tokens.js';
import { TestBrowser } from './chromium.js';
import { accessibilityFindings, headline, openPage, type OpenPage } from './open-page.js';
import { Stage, StagedDataSet, tipAt } from './stage.js';

/** The page against the product's own routes; the group behind them is made up, so that anything can happen to it. */
let browser: TestBrowser;
let stage: Stage;
let prices: StagedDataSet;
let opened: OpenPage;

const eventually = { timeout: 10_000, interval: 50 };

beforeAll(async () => {
  browser = await TestBrowser.start({ colorScheme: 'light' });
});

afterAll(async () => {
  await browser[Symbol.asyncDispose]();
});

beforeEach(async () => {
  prices = new StagedDataSet('prices', 12, ['a', 'b', 'c']);
  prices.commit({ agoMs: 4000 });
  stage = await Stage.start([prices]);
});

afterEach(async () => {
  await opened[Symbol.asyncDispose]();
  await stage.close();
  expect(opened.errors).toEqual([]);
  expect(opened.elsewhere).toEqual([]);
});

async function open(): Promise<OpenPage['page']> {
  opened = await openPage(browser, stage.url);
  return opened.page;
}

describe('what happens shows at once', () => {
  test('the page loads, and says that all is well', async () => {
    const page = await open();
    await expect.poll(() => headline(page), eventually).toBe('All 3 slaves are current at version 13');
    expect(await page.title()).toBe('All 3 slaves are current at version 13 · master');
    expect(await page.locator('#account').getAttribute('data-tone')).toBe('calm');
    expect(await page.locator('.well .node .name').allTextContents()).toEqual(['a', 'b', 'c']);
    expect(await page.locator('.master .name').textContent()).toBe('master');
    expect(await page.locator('#connection').textContent()).toBe('live');
  });

  test('a change that commits', async () => {
    const page = await open();
    await expect.poll(() => headline(page), eventually).toContain('version 13');
    prices.commit();
    await expect.poll(() => headline(page), eventually).toBe('All 3 slaves are current at version 14');
    await expect
      .poll(() => page.locator('.well .node .version').allTextContents(), eventually)
      .toEqual(['v14', 'v14', 'v14']);
    expect(await page.locator('#rounds .version').first().textContent()).toBe('v14');
    expect(await page.locator('#rounds .words').first().textContent()).toContain('committed with 3 yes');
  });

  test('a veto, with who and why, and every vote of its round', async () => {
    const page = await open();
    await page.locator('#headline').waitFor();
    prices.rounds.unshift(prices.round({ version: 14, refusals: { b: 'cents must be positive' } }));
    await expect.poll(() => headline(page), eventually).toBe('b vetoed version 14: cents must be positive');
    expect(await page.locator('#account').getAttribute('data-tone')).toBe('watch');
    const round = page.locator('#rounds > li').first();
    expect(await round.locator('.words').textContent()).toBe('b vetoed: cents must be positive');
    await round.locator('summary').click();
    await expect.poll(() => round.locator('tbody tr').count(), eventually).toBe(3);
    expect(await round.locator('tr.no td').allTextContents()).toEqual(
      expect.arrayContaining(['b', 'no', 'cents must be positive']),
    );
    prices.version = 14;
    prices.commit();
    await expect.poll(() => headline(page), eventually).toContain('current at version 15');
    expect(await page.locator('#others').textContent()).toContain('b vetoed version 14: cents must be positive');
  });

  test('a slave that dies, and one that comes back', async () => {
    const page = await open();
    await page.locator('#headline').waitFor();
    prices.change('c', { live: false, heardMsAgo: 12_000 });
    await expect.poll(() => headline(page), eventually).toMatch(/^c hasn't been heard for 1\d s$/);
    expect(await page.locator('#account').getAttribute('data-tone')).toBe('alarm');
    expect(await page.locator('.silent .node .name').allTextContents()).toEqual(['c']);
    await expect.poll(() => headline(page), eventually).toMatch(/for 14 s$/);
    expect(await page.locator('#announcer').textContent()).toMatch(/^c hasn't been heard for 12 s$/);
    prices.change('c', { live: true, heardMsAgo: 20, state: 'catching up', tip: tipAt(9), behind: 4, behindMs: 3000 });
    await expect.poll(() => headline(page), eventually).toMatch(/^c is 4 versions behind, for \d s$/);
    expect(await page.locator('.behind .node .state').textContent()).toBe('4 versions behind');
    prices.change('c', { state: 'current', tip: tipAt(13), behind: 0, behindMs: 0 });
    await expect.poll(() => headline(page), eventually).toBe('All 3 slaves are current at version 13');
    expect(await page.locator('.silent').isHidden()).toBe(true);
  });

  test('in doubt and behind stand before those who are well', async () => {
    const page = await open();
    await page.locator('#headline').waitFor();
    prices.change('c', { inDoubt: 1, oldestInDoubtMs: 15_000 });
    prices.change('b', { behind: 2, behindMs: 2000, state: 'serving' });
    await expect
      .poll(() => page.locator('.picture .node .name').allTextContents(), eventually)
      .toEqual(['c', 'b', 'a']);
    expect(await headline(page)).toMatch(/^c has been in doubt for 1\d s/);
    expect(await page.locator('#others li').allTextContents()).toEqual([
      expect.stringMatching(/^b is 2 versions behind/),
    ]);
  });

  test('each data set has its own page, and says from afar that something is the matter', async () => {
    await stage.close();
    const routes = new StagedDataSet('routes', 3, ['a', 'b']);
    stage = await Stage.start([prices, routes]);
    const page = await open();
    const tabs = page.locator('#data-sets a');
    await expect.poll(() => tabs.allTextContents(), eventually).toEqual(['prices', 'routes']);
    routes.change('b', { live: false, heardMsAgo: 60_000 });
    await expect.poll(() => tabs.nth(1).getAttribute('data-tone'), eventually).toBe('alarm');
    expect(await headline(page)).toContain('All 3 slaves');
    await tabs.nth(1).click();
    await expect.poll(() => headline(page), eventually).toContain("b hasn't been heard");
    expect(await tabs.nth(1).getAttribute('aria-current')).toBe('page');
    await page.reload();
    await expect.poll(() => headline(page), eventually).toContain("b hasn't been heard");
  });
});

describe('the connection', () => {
  test('lost: it says so, with the age of what is shown; back: it goes on by itself', async () => {
    const page = await open();
    await page.locator('#headline').waitFor();
    await stage.close();
    await expect
      .poll(() => page.locator('#banner').textContent(), eventually)
      .toMatch(/^No connection: .* What you see is \d+ s old\. Trying again\.$/);
    expect(await page.locator('#connection').textContent()).toBe('no connection');
    await expect.poll(() => page.locator('.content.old').count(), eventually).toBe(1);
    expect(await page.title()).toContain('No connection');
    expect(await headline(page)).toBe('All 3 slaves are current at version 13');
    await expect.poll(() => page.locator('#banner').textContent(), eventually).toMatch(/is [3-9] s old/);
    prices.commit();
    await stage.open();
    await expect.poll(() => headline(page), eventually).toBe('All 3 slaves are current at version 14');
    expect(await page.locator('#banner').isVisible()).toBe(false);
    expect(await page.locator('.content.old').count()).toBe(0);
    expect(await page.locator('#connection').textContent()).toBe('live');
  });

  test('a master that shuts down says so itself', async () => {
    const page = await open();
    await page.locator('#headline').waitFor();
    await stage.close();
    await expect.poll(() => page.locator('#banner').textContent(), eventually).not.toBe('');
    // The first words are the reason; after the first vain attempt it is another one.
    expect(await page.locator('#banner').textContent()).toMatch(/shutting down|does not answer/);
  });

  test('with tokens: the page asks, refuses a wrong one, keeps a right one for this tab', async () => {
    await stage.close();
    const { token, line } = newToken('read');
    stage = await Stage.start([prices], { tokens: parseTokens(line, 'a test') });
    const page = await open();
    await page.locator('#token-form').waitFor();
    expect(await page.locator('#content').isHidden()).toBe(true);
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('token');
    await page.keyboard.type('wrong');
    await page.keyboard.press('Enter');
    await expect
      .poll(() => page.locator('#token-problem').textContent(), eventually)
      .toBe('The master does not know this token.');
    expect(await accessibilityFindings(page)).toEqual([]);
    await page.locator('#token').fill(token);
    await page.keyboard.press('Enter');
    await expect.poll(() => headline(page), eventually).toContain('All 3 slaves');
    expect(await page.locator('#token-form').isHidden()).toBe(true);
    await page.reload();
    await expect.poll(() => headline(page), eventually).toContain('All 3 slaves');
    expect(await page.evaluate(() => [sessionStorage.length, JSON.stringify(localStorage)])).toEqual([1, '{}']);
    expect(page.url()).not.toContain(token);
  });
});

describe('for everybody', () => {
  test('light and dark: as the system says, or as chosen, also after a reload', async () => {
    const page = await open();
    await page.locator('#headline').waitFor();
    const paper = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await paper();
    await page.emulateMedia({ colorScheme: 'dark' });
    await expect.poll(paper, eventually).not.toBe(light);
    const dark = await paper();
    await page.locator('#theme').click();
    await expect.poll(paper, eventually).toBe(light);
    expect(await page.locator('#theme').textContent()).toBe('Theme: light');
    await page.locator('#theme').click();
    await page.emulateMedia({ colorScheme: 'light' });
    await page.reload();
    await expect.poll(paper, eventually).toBe(dark);
    await page.locator('#theme').click();
    await expect.poll(paper, eventually).toBe(light);
  });

  test.each(['light', 'dark'] as const)(
    'axe-core finds nothing wrong: picture, table, node and round, %s',
    async (colorScheme) => {
      prices.change('b', { live: false, heardMsAgo: 9000 });
      prices.change('c', { behind: 2, behindMs: 3000, state: 'catching up' });
      prices.rounds.unshift(prices.round({ version: 14, refusals: { a: 'no' } }));
      const page = await open();
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.locator('#headline').waitFor();
      await page.locator('#rounds summary').first().click();
      await page.locator('#rounds tbody tr').first().waitFor();
      expect(await accessibilityFindings(page)).toEqual([]);
      await page.locator('#as-table').click();
      await page.locator('#table tbody tr').first().waitFor();
      expect(await accessibilityFindings(page)).toEqual([]);
      await page.locator('#table .link').nth(1).click();
      await page.locator('dialog[open]').waitFor();
      expect(await accessibilityFindings(page)).toEqual([]);
      await page.emulateMedia({ colorScheme: 'light', reducedMotion: null });
    },
  );

  test('the whole page by keyboard: skip, theme, nodes by arrows, a node opens and closes', async () => {
    const page = await open();
    await page.locator('.node').first().waitFor();
    const focused = (): Promise<string> =>
      page.evaluate(
        () => document.activeElement?.querySelector('.name')?.textContent ?? document.activeElement?.id ?? '',
      );
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement?.className)).toBe('skip');
    await page.keyboard.press('Enter');
    await expect.poll(focused, eventually).toBe('account');
    const path: string[] = [];
    for (let index = 0; index < 4; index += 1) {
      await page.keyboard.press('Tab');
      path.push(await focused());
    }
    expect(path).toEqual(['as-picture', 'as-table', 'master', 'a']);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('End');
    expect(await focused()).toBe('c');
    // What changes meanwhile takes nobody's focus away.
    prices.commit();
    await expect.poll(() => headline(page), eventually).toContain('version 14');
    expect(await focused()).toBe('c');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.locator('dialog[open] #node-title').textContent(), eventually).toBe('c');
    expect(await page.locator('#node-facts').textContent()).toContain('Version14');
    await page.keyboard.press('Escape');
    expect(await page.locator('dialog[open]').count()).toBe(0);
    expect(await focused()).toBe('c');
    // One stop for all nodes: the next Tab leaves the picture.
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('SUMMARY');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.locator('#rounds details[open] tbody tr').count(), eventually).toBe(3);
  });

  test('the table says what the picture shows', async () => {
    prices.change('b', { live: false, heardMsAgo: 9000, lastVote: { version: 13, yes: false, reason: 'too high' } });
    const page = await open();
    await page.locator('#as-table').click();
    const rows = page.locator('#table tbody tr');
    await expect.poll(() => rows.count(), eventually).toBe(4);
    expect(await rows.locator('th').allTextContents()).toEqual(['master', 'b', 'a', 'c']);
    const cells = await rows.nth(1).locator('td').allTextContents();
    expect(cells.slice(0, 3)).toEqual(['slave', expect.stringMatching(/^silent for \d+ s$/), '13']);
    expect(cells[5]).toBe('no to 13: too high');
    expect(await page.locator('#picture').isHidden()).toBe(true);
  });

  test('fits a telephone: nothing is wider than the screen', async () => {
    const page = await open();
    await page.setViewportSize({ width: 360, height: 700 });
    await page.locator('.node').first().waitFor();
    await expect
      .poll(
        () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
        eventually,
      )
      .toBe(0);
  });
});

describe('a group of three hundred', () => {
  const nodes = Array.from({ length: 300 }, (_, index) => `node-${index + 1}`);
  /** Of the time in which versions arrive, the page may be busy for so much, in pieces that a person could notice. */
  const mostBusy = 0.5;

  test('is readable, can be searched, and stays responsive while versions arrive', async () => {
    await stage.close();
    prices = new StagedDataSet('prices', 100, nodes);
    stage = await Stage.start([prices]);
    const page = await open();
    await expect.poll(() => headline(page), eventually).toBe('All 300 slaves are current at version 100');
    expect(await page.locator('.node').count()).toBe(300);
    await page.evaluate(() => {
      const tasks: number[] = [];
      Reflect.set(globalThis, 'longTasks', tasks);
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) tasks.push(entry.duration);
      }).observe({ entryTypes: ['longtask'] });
    });
    const startMs = performance.now();
    for (let version = 101; version <= 120; version += 1) {
      prices.commit();
      await expect.poll(() => headline(page), eventually).toBe(`All 300 slaves are current at version ${version}`);
    }
    const longTasks = await page.evaluate(() => Reflect.get(globalThis, 'longTasks') as number[]);
    const busyMs = longTasks.reduce((sum, durationMs) => sum + durationMs, 0);
    expect(busyMs / (performance.now() - startMs)).toBeLessThan(mostBusy);
    for (const node of ['node-7', 'node-150']) prices.change(node, { live: false, heardMsAgo: 30_000 });
    await expect
      .poll(() => headline(page), eventually)
      .toMatch(/^node-7 and node-150 haven't been heard for up to 3\d s$/);
    expect(await page.locator('.silent .node .name').allTextContents()).toEqual(['node-7', 'node-150']);
    expect(await page.locator('.silent .node .name').first().isVisible()).toBe(true);
    await page.locator('#find').fill('node-299');
    await expect.poll(() => page.locator('li.found').count(), eventually).toBe(1);
    await page.locator('#find').fill('');
    // Every vote of a large round is asked for when somebody looks at it.
    await page.locator('#rounds summary').first().click();
    await expect.poll(() => page.locator('#rounds details[open] tbody tr').count(), eventually).toBe(300);
    expect(await accessibilityFindings(page)).toEqual([]);
  });
});
