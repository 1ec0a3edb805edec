import type { Check } from './check.js';
import { nonEmptyLines, runTool } from './run-tool.js';

/** The others hold what runs in a browser, which has other globals. */
const projects = ['.', 'master/dashboard/page', 'tests/browser'] as const;

/** The whole repository under strict TypeScript. */
export const types: Check = {
  name: 'types',
  remedy: 'mend the types; `npx tsc -p . --noEmit` shows them alone',
  async run(root) {
    const findings: string[] = [];
    let read = 0;
    for (const project of projects) {
      const { exitCode, output } = await runTool(root, 'typescript/bin/tsc', [
        ...['-p', project, '--noEmit', '--pretty', 'false', '--listFiles'],
      ]);
      const lines = nonEmptyLines(output);
      const own = lines.filter((line) => !line.includes('node_modules') && /^\S+\.(ts|js)$/.test(line));
      const found = lines.filter((line) => line.includes('error TS'));
      if (exitCode !== 0 && found.length === 0) found.push(`tsc -p ${project} ended with ${exitCode}`);
      if (own.length === 0) found.push(`tsc -p ${project} read no file`);
      read += own.length;
      findings.push(...found);
    }
    return { read, unit: 'files', findings };
  },
};
