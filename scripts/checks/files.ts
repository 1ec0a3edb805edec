import { readdir } from 'node:fs/promises';
import { join, sep } from 'node:path';

const skippedFolders: ReadonlySet<string> = new Set(['node_modules', 'dist', 'coverage', 'data', '.git']);

/** All files below `root` whose name ends so, as relative paths with forward slashes, sorted. */
export async function filesBelow(root: string, folder: string, ending: string): Promise<string[]> {
  const found: string[] = [];
  const visit = async (relative: string): Promise<void> => {
    const entries = await readdir(join(root, relative), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = relative === '' ? entry.name : `${relative}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!skippedFolders.has(entry.name)) await visit(path);
      } else if (entry.name.endsWith(ending)) {
        found.push(path);
      }
    }
  };
  await visit(folder.split(sep).join('/'));
  return found.sort();
}

/** The folders that hold the project's own code. */
export const codeFolders = ['master', 'slave', 'activation', 'shared', 'cli', 'scripts', 'tests', 'examples'] as const;
