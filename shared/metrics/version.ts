import { createRequire } from 'node:module';

/** The package names itself, from its sources as from what is built of them. */
const description: unknown = createRequire(import.meta.url)('lockstep/package.json');

/** What runs here. */
export const packageVersion: string =
  typeof description === 'object' && description !== null && 'version' in description
    ? String(description.version)
    : 'unknown';
