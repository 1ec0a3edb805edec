import type { Check } from './check.js';
import { nonEmptyLines, runTool } from './run-tool.js';

/** The whole repository under strict TypeScript. */
export const types: Check = {
  name: 'types',
  remedy: 'mend the types; `npx tsc -p . --noEmit` shows them alone',
  async run(root) {
    const { exitCode, output } = await runTool(root, 'typescript/bin/tsc', [
      '-p',
      '.',
      '--noEmit',
      '--pretty',
      'false',
      '--listFiles',
    ]);
    const lines = nonEmptyLines(output);
    const read = lines.filter((line) => !line.includes('node_modules') && /^\S+\.ts$/.test(line)).length;
    const findings = lines.filter((line) => line.includes('error TS'));
    if (exitCode !== 0 && findings.length === 0) findings.push(`tsc ended with ${exitCode}`);
    return { read, unit: 'files', findings };
  },
};
