import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TestBrowser } from './chromium.js';
import { accessibilityFindings, headline, openPage, type OpenPage } from './open-page.js';
import { Stage, StagedDataSet } from './stage.js';

/** What the page shows of scheduled changes: what waits, who isn't armed, and how the newest went. */
let browser: TestBrowser;
let stage: Stage;
let prices: StagedDataSet;
let opened: OpenPage;

const eventually = { timeout: 10_000, interval: 50 };

beforeAll(async () => {
  browser = await TestBrowser.start({ colorScheme: 'light', timezoneId: 'Asia/Kathmandu' });
});

afterAll(async () => {
  await browser[Symbol.asyncDispose]();
});

beforeEach(async () => {
  prices = new StagedDataSet('prices', 12, ['amsterdam', 'berlin', 'cairo']);
  prices.commit({ agoMs: 4000 });
  stage = await Stage.start([prices]);
  opened = await openPage(browser, stage.url);
});

afterEach(async () => {
  await opened[Symbol.asyncDispose]();
  await stage.close();
  expect(opened.errors).toEqual([]);
  expect(opened.elsewhere).toEqual([]);
});

/** Version 14, for an instant so long from now. */
function arm(inMs: number, missing: readonly string[] = []): string {
  const activateAt = new Date(Date.now() + inMs).toISOString();
  const arming = { armed: 3 - missing.length, of: 3 };
  prices.armed = { version: 14, activateAt, inMs, phase: 'armed', ...arming, missing };
  const round = prices.round({ version: 14, agoMs: 3000 });
  prices.rounds[0] = { ...round, outcome: 'armed', exposedMs: null, activation: { at: activateAt, ...arming } };
  return activateAt;
}

describe('a scheduled change', () => {
  test('is shown with its instant by the clock on the wall, counting down, with who is not armed', async () => {
    const { page } = opened;
    await page.locator('#headline').waitFor();
    expect(await page.locator('#scheduled').isHidden(), 'nothing is scheduled').toBe(true);
    const activateAt = arm(65_000, ['berlin']);
    const entry = page.locator('#scheduled .entry').first();
    await expect.poll(() => entry.locator('h3').textContent(), eventually).toBe('Version 14 · Waits for its instant');
    expect(await entry.locator('time').getAttribute('datetime')).toBe(activateAt);
    expect(await entry.locator('time').textContent()).toMatch(/ 20\d\d, \d\d:\d\d:\d\d GMT\+5:45, in 6\d s$/);
    const counted = await entry.locator('time').textContent();
    await expect.poll(() => entry.locator('time').textContent(), eventually).not.toBe(counted);
    expect(await entry.locator('dd').nth(1).textContent()).toBe('2 of 3; not berlin');
    expect(await headline(page)).toMatch(/^berlin hasn't reported that it is armed for version 14, due in \d+ s$/);
    expect(await page.locator('#rounds .words').first().textContent()).toMatch(
      /^decided with 3 yes, armed at 2 of 3, shown by all at /,
    );

    arm(60_000);
    await expect.poll(() => entry.locator('dd').nth(1).textContent(), eventually).toBe('3 of 3');
    await expect.poll(() => headline(page), eventually).toBe('All 3 slaves are current at version 13');
    await expect.poll(() => page.locator('#rounds .words').first().textContent(), eventually).toContain('3 of 3');

    prices.armed = null;
    prices.activation = { version: 14, activateAt, exposed: 3, of: 3, missing: [], spreadMs: 0.412, boundMs: 3.1 };
    prices.rounds.shift();
    prices.commit();
    const past = page.locator('#scheduled .entry').nth(1);
    await expect
      .poll(() => past.locator('dd').allTextContents(), eventually)
      .toEqual([expect.stringContaining('GMT+5:45'), '3 of 3', '< 1 ms by their own clocks, 3.1 ms at most']);
    expect(await entry.isHidden()).toBe(true);
  });

  test.each([
    ['light', 1200],
    ['light', 360],
    ['dark', 1200],
    ['dark', 360],
  ] as const)('is accessible, and no wider than the screen: %s, %d pixels', async (colorScheme, width) => {
    const { page } = opened;
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    arm(3_600_000, ['berlin', 'cairo']);
    prices.activation = {
      ...{ version: 13, activateAt: new Date(Date.now() - 300_000).toISOString(), exposed: 2, of: 3 },
      ...{ missing: ['a-node-with-a-name-that-is-longer-than-others-are'], spreadMs: 4.2, boundMs: 9.7 },
    };
    await page.locator('#scheduled .entry').nth(1).locator('dd').nth(2).waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);
    const beyond = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(beyond).toBe(0);
  });
});
