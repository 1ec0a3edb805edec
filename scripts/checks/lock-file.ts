import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from './check.js';

interface LockEntry {
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface LockFile {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

/** The lock file pins packages by integrity and names no registry host: `npm ci` works behind any mirror. */
export const lockFile: Check = {
  name: 'lock-file',
  remedy: 'keep `omit-lockfile-registry-resolved=true` in .npmrc, remove package-lock.json and run `npm install`',
  async run(root) {
    const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as LockFile;
    const entries = Object.entries(lock.packages).filter(([path]) => path !== '');
    const names = new Set(
      entries.map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)),
    );
    const findings = entries.flatMap(([path, { resolved, integrity, link, optionalDependencies = {} }]) => [
      ...(resolved !== undefined && link !== true ? [`${path} is bound to a host`] : []),
      ...(integrity === undefined && link !== true ? [`${path} has no integrity`] : []),
      // `npm ci` refuses a lock file that lacks what is meant for other platforms.
      ...Object.keys(optionalDependencies)
        .filter((name) => !names.has(name))
        .map(
          (name) => `${path} may want ${name}, which is not in the lock file; pin a version that has it in "overrides"`,
        ),
    ]);
    return { read: entries.length, unit: 'packages', findings };
  },
};
