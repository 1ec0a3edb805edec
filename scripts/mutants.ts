import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { runDrill } from './mutants/drill.js';
import { mutations } from './mutants/list.js';

/** `npm run mutants [-- --only TEXT]`: breaks each guarantee on purpose and sees it caught. Exit code 1 when one survives. */
const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const chosen = mutations.filter(({ name, guarantee }) => name.includes(values.only) || guarantee === values.only);
if (chosen.length === 0) {
  console.error(`no mutation is called ${values.only}; there are ${mutations.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const results = await runDrill({
  root: join(import.meta.dirname, '..'),
  mutations: chosen,
  timeoutMs: 180_000,
  workers: 2,
  onResult: ({ mutation, verdict, detail, seconds }) => {
    console.log(
      `${verdict === 'caught' ? 'ok  ' : 'FAIL'}  ${mutation.name}: ${verdict} after ${seconds.toFixed(1)} s · ${detail}`,
    );
  },
});

const table = new Table({
  head: ['mutation', 'breaks', 'to be caught by', 'verdict'],
  style: { head: [], border: [] },
});
for (const { mutation, verdict } of results) {
  const { caughtBy } = mutation;
  table.push([mutation.name, mutation.guarantee, caughtBy.kind === 'checker' ? caughtBy.id : caughtBy.file, verdict]);
}
console.log(table.toString());

const failed = results.filter(({ verdict }) => verdict !== 'caught').length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
