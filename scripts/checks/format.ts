import type { Check } from './check.js';
import { filesBelow } from './files.js';
import { nonEmptyLines, runTool } from './run-tool.js';

export const format: Check = {
  name: 'format',
  remedy: '`npm run fix` writes the layout',
  async run(root) {
    const { exitCode, output, errors } = await runTool(root, 'prettier/bin/prettier.cjs', ['--list-different', '.']);
    const findings = exitCode === 0 ? [] : [...nonEmptyLines(output), ...nonEmptyLines(errors)];
    if (exitCode !== 0 && findings.length === 0) findings.push(`prettier ended with ${exitCode}`);
    return { read: (await filesBelow(root, '', '.ts')).length, unit: 'files', findings };
  },
};
