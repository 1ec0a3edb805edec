import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from './check.js';
import { codeFolders, filesBelow } from './files.js';

/** About here a file starts to do two things. */
const warnLines = 400;
const failLines = 600;

export const fileSize: Check = {
  name: 'file-size',
  remedy: `split the file by what it does: over ${warnLines} lines is a warning, over ${failLines} fails`,
  async run(root) {
    const findings: string[] = [];
    const warnings: string[] = [];
    let read = 0;
    for (const folder of codeFolders) {
      const paths = [...(await filesBelow(root, folder, '.ts')), ...(await filesBelow(root, folder, '.js'))];
      for (const path of paths) {
        read += 1;
        const lines = (await readFile(join(root, path), 'utf8')).trimEnd().split('\n').length;
        if (lines > failLines) findings.push(`${path}: ${lines} lines`);
        else if (lines > warnLines) warnings.push(`${path}: ${lines} lines`);
      }
    }
    return { read, unit: 'files', findings, warnings };
  },
};
