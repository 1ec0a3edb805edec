import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext, type BrowserContextOptions } from 'playwright-core';

/** Debian's package and what others call it; `CHROMIUM` names another one. */
const usualPaths = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** It asks nobody for anything: what a browser does by itself would else go to the network. */
const quietFlags = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync', '--no-proxy-server'],
];

/** Null where there is none. */
export function chromiumPath(): string | null {
  return [process.env['CHROMIUM'] ?? '', ...usualPaths].find((path) => path !== '' && existsSync(path)) ?? null;
}

/** A browser with a profile of its own, which goes away with it. */
export class TestBrowser implements AsyncDisposable {
  readonly context: BrowserContext;
  readonly #profile: string;

  private constructor(context: BrowserContext, profile: string) {
    this.context = context;
    this.#profile = profile;
  }

  static async start(options: BrowserContextOptions = {}): Promise<TestBrowser> {
    const executablePath = chromiumPath();
    if (executablePath === null) throw new Error(`no Chromium at ${usualPaths.join(', ')}; CHROMIUM may name one`);
    const profile = await mkdtemp(join(tmpdir(), 'lockstep-browser-'));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath,
      headless: true,
      args: quietFlags,
      viewport: { width: 1280, height: 900 },
      ...options,
    });
    return new TestBrowser(context, profile);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close();
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
