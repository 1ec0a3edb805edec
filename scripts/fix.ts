import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { declaredEvents, eventsPage, readEventsPage, withEventTables } from './checks/event-tables.js';
import { runTool } from './checks/run-tool.js';

/** `npm run fix`: writes what tools can mend by themselves. `npm run check` says what is left. */
const root = join(import.meta.dirname, '..');
const steps = [
  { name: 'eslint --fix', script: 'eslint/bin/eslint.js', args: ['--fix', '.'] },
  { name: 'prettier --write', script: 'prettier/bin/prettier.cjs', args: ['--log-level', 'warn', '--write', '.'] },
] as const;

let exitCode = 0;
for (const { name, script, args } of steps) {
  const result = await runTool(root, script, args);
  console.log(`${result.exitCode === 0 ? 'ok  ' : 'LEFT'}  ${name}`);
  if (result.exitCode !== 0) {
    exitCode = 1;
    console.log(result.output + result.errors);
  }
}
await writeFile(join(root, eventsPage), withEventTables(await readEventsPage(root), declaredEvents(root)));
console.log(`ok    the tables of ${eventsPage}`);
process.exit(exitCode);
