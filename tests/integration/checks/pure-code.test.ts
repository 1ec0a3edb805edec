import { describe, expect, it } from 'vitest';
import { tableRows, titlePatterns } from '../../../scripts/checks/guarantees.js';
import { impurities } from '../../../scripts/checks/pure-code.js';

describe('the check for pure code', () => {
  it.each([
    ['Date', 'export const now = Date.now();'],
    ['Math.random', 'export const chance = Math.random();'],
    ['setTimeout', 'setTimeout(() => {}, 5);'],
    ['performance', 'export const now = performance.now();'],
    ['console', "console.log('here');"],
    ['Promise', 'export const later = Promise.resolve();'],
    ['async', 'export async function wait() {}'],
    ['await', 'await started;'],
  ])('finds %s', (name, text) => {
    expect(impurities('core.ts', text)).toContain(`core.ts:1 ${name}`);
  });

  it('leaves comments, texts and names that only look alike', () => {
    const text = `// Date.now() is not used\nexport const text = 'setTimeout';\nexport const view = { process: 1 };\nfor (const fetch of []) fetch();\nview.process;\nMath.floor(1);`;
    expect(impurities('core.ts', text)).toEqual([]);
  });
});

describe('the check of the page of guarantees', () => {
  it('reads rows by the heading of their column', () => {
    const rows = tableRows('# x\n\n| a | Test |\n|---|:--|\n| 1 | t |\n\n| a |\n|---|\n| 2 |\n');
    expect(rows.map(({ line, cells }) => [line, Object.fromEntries(cells)])).toEqual([
      [5, { a: '1', Test: 't' }],
      [9, { a: '2' }],
    ]);
  });

  it('knows the titles of a test file, with what is filled in at run time', () => {
    const patterns = titlePatterns(
      "it('says \\'no\\'', f); it.each(cases)('drops %s here', f); describe(`kind ${name}`, f); exit('never', 1)",
    );
    const known = (title: string): boolean => patterns.some((pattern) => pattern.test(title));
    expect(["says 'no'", 'drops all of it here', 'kind vote', 'never', 'drops here'].map(known)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});
