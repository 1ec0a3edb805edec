import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { smallPng } from './dashboard-images/small-png.js';
import { TestBrowser } from '../tests/browser/chromium.js';
import { Stage, StagedDataSet } from '../tests/browser/stage.js';

/**
 * `npx tsx scripts/dashboard-images.ts [FOLDER]`: the pictures of `docs/dashboard.md`, each in light and dark. The group on
 * them is made up; routes, page and browser are real.
 */
const folder = process.argv[2] ?? join(import.meta.dirname, '../docs/images');
const largestBytes = 150 * 1024;
const names = ['amsterdam', 'berlin', 'cairo', 'dublin', 'essen', 'florence', 'geneva'];

interface Scene {
  readonly name: string;
  readonly height: number;
  readonly dataSet: () => StagedDataSet;
  /** Something to do before the picture is taken. */
  readonly act?: (page: Page) => Promise<void>;
}

const scenes: readonly Scene[] = [
  { name: 'calm', height: 1190, dataSet: () => history() },
  {
    name: 'veto',
    height: 1000,
    dataSet: () => {
      const dataSet = history();
      const version = dataSet.version + 1;
      const reason = 'put sku-17: cents must be positive';
      dataSet.rounds.unshift(dataSet.round({ version, agoMs: 7000, refusals: { berlin: reason } }));
      dataSet.change('berlin', { lastVote: { version, yes: false, reason } });
      return dataSet;
    },
    act: async (page) => {
      await page.locator('#rounds summary').first().click();
    },
  },
  {
    name: 'dead-slave',
    height: 1000,
    dataSet: () => {
      const dataSet = history({ dublin: 42_000, geneva: 30_000 });
      dataSet.change('dublin', { live: false, heardMsAgo: 42_000 });
      dataSet.change('geneva', { state: 'catching up' });
      return dataSet;
    },
  },
  {
    name: 'large',
    height: 1000,
    dataSet: () => {
      const dataSet = new StagedDataSet(
        'prices',
        1200,
        Array.from({ length: 300 }, (_, index) => `node-${index + 1}`),
      );
      const silent = { 'node-14': 95_000, 'node-92': 95_000, 'node-203': 95_000 };
      const agosMs = Array.from({ length: 23 }, (_, index) => 200_000 - index * 9000);
      commitEach(dataSet, agosMs, { ...silent, 'node-117': 45_000, 'node-240': 8000 });
      for (const [node, heardMsAgo] of Object.entries(silent)) dataSet.change(node, { live: false, heardMsAgo });
      dataSet.change('node-117', { state: 'catching up' });
      dataSet.change('node-240', { state: 'serving' });
      return dataSet;
    },
  },
];

await mkdir(folder, { recursive: true });
for (const colorScheme of ['light', 'dark'] as const) {
  for (const scene of scenes) {
    await using stage = await Stage.start([scene.dataSet()]);
    await using browser = await TestBrowser.start({ colorScheme, viewport: { width: 1200, height: scene.height } });
    const page = await browser.context.newPage();
    await page.clock.install();
    await page.goto(stage.url);
    await page.locator('#content').waitFor();
    // Five minutes of an evening, so that the plots have something to show.
    await scene.act?.(page);
    await page.clock.runFor(2000);
    await page.locator('body').click({ position: { x: 5, y: 5 } });
    const path = join(folder, `dashboard-${scene.name}-${colorScheme}.png`);
    await writeFile(path, smallPng(await page.screenshot({ animations: 'disabled' })));
    const { size } = await stat(path);
    console.log(`${path} · ${Math.round(size / 1024)} KiB`);
    if (size > largestBytes) throw new Error(`${path} has ${size} bytes; at most ${largestBytes} may be kept`);
  }
}

/** A group of seven that has been at work for some minutes. */
function history(absentSinceMs: Readonly<Record<string, number>> = {}): StagedDataSet {
  const dataSet = new StagedDataSet('prices', 1170, names);
  const agos = [
    288, 281, 259, 251, 244, 230, 205, 190, 188, 171, 150, 141, 133, 120, 104, 96, 77, 63, 52, 41, 33, 24, 16,
  ];
  const agosMs = agos.map((ago) => ago * 1000);
  commitEach(dataSet, agosMs, absentSinceMs);
  return dataSet;
}

/** A change so long ago each; who was away by then neither voted nor has it, and lacks it since. */
function commitEach(
  dataSet: StagedDataSet,
  agosMs: readonly number[],
  absentSinceMs: Readonly<Record<string, number>>,
): void {
  for (const agoMs of agosMs) {
    const without = Object.keys(absentSinceMs).filter((node) => agoMs < (absentSinceMs[node] ?? 0));
    dataSet.commit({ agoMs, without });
  }
  for (const [node, sinceMs] of Object.entries(absentSinceMs)) {
    const missed = agosMs.filter((agoMs) => agoMs < sinceMs);
    dataSet.change(node, { behind: missed.length, behindMs: Math.max(...missed) });
  }
}
