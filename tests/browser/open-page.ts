import axe from 'axe-core';
import type { Page } from 'playwright-core';
import type { TestBrowser } from './chromium.js';

/** A page, and what went wrong on it or left for elsewhere. */
export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** Errors of scripts and of the console, and what the page's own policy refused. */
  readonly errors: string[];
  /** Requests to any other host. */
  readonly elsewhere: string[];
}

export async function openPage(browser: TestBrowser, url: string): Promise<OpenPage> {
  const page = await browser.context.newPage();
  const errors: string[] = [];
  const elsewhere: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    // The browser itself reports each failed request, which is what a lost connection is.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      errors.push(message.text());
  });
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(url).host) elsewhere.push(request.url());
  });
  await page.goto(url);
  return { page, errors, elsewhere, [Symbol.asyncDispose]: () => page.close() };
}

export function headline(page: Page): Promise<string | null> {
  return page.locator('#headline').textContent();
}

/** What axe-core finds wrong: roles, names, contrast, order of headings and the like. One line each. */
export async function accessibilityFindings(page: Page): Promise<string[]> {
  // Not as a script of the page, which its policy would refuse, and rightly so.
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const run = Reflect.get(globalThis, 'axe') as typeof axe;
    const { violations } = await run.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' | ')}`);
  });
}
