import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from './check.js';
import type { DeclaredEvent } from './event-tables.js';
import { declaredEvents, eventsPage, readEventsPage, withEventTables } from './event-tables.js';
import { filesBelow } from './files.js';

/** The list of events says what the code declares, and whatever is declared is recorded somewhere. */
export const events: Check = {
  name: 'events',
  remedy: `\`npm run fix\` writes the tables of ${eventsPage} anew`,
  async run(root) {
    const declared = declaredEvents(root);
    const page = await readEventsPage(root);
    const findings = [...driftOf(page, declared), ...unusedOf(declared, await codeOf(root))];
    return { read: declared.length, unit: 'events', findings };
  },
};

export function driftOf(page: string, declared: readonly DeclaredEvent[]): string[] {
  const wanted = withEventTables(page, declared).split('\n');
  const lines = page.split('\n');
  const differs = page !== wanted.join('\n');
  const nameless = declared.filter(({ when }) => when === '').map(({ name }) => `'${name}' has no doc comment`);
  const drift = [
    ...wanted.filter((line) => !lines.includes(line)).map((line) => `${eventsPage} lacks: ${line}`),
    ...lines.filter((line) => !wanted.includes(line)).map((line) => `${eventsPage} has, and the code not: ${line}`),
  ];
  return [...nameless, ...(differs && drift.length === 0 ? [`${eventsPage} has rows in another order`] : drift)];
}

/** The compiler sees to it that nothing else is recorded; what isn't recorded any more it can't see. */
export function unusedOf(declared: readonly DeclaredEvent[], code: string): string[] {
  return declared.filter(({ name }) => !code.includes(`'${name}'`)).map(({ name }) => `nothing records '${name}'`);
}

async function codeOf(root: string): Promise<string> {
  const paths = (
    await Promise.all(['master', 'slave', 'activation', 'shared'].map((folder) => filesBelow(root, folder, '.ts')))
  )
    .flat()
    .filter((path) => !path.endsWith('.test.ts') && !path.endsWith('/events.ts'));
  const texts = await Promise.all(paths.map((path) => readFile(join(root, path), 'utf8')));
  return texts.join('\n');
}
