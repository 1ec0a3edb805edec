/**
 * A process of its own that rolls the cycle of a database again and again: each round writes the round's number into every
 * key, then rolls. It says `rolled N` after the Nth round. Arguments: a folder or the address of a PostgreSQL database, how
 * many keys, and where to die as `kill -9` does: `never`, or `lock`, `activate` or `stage`, each in its third round.
 */
import { planLock, planRoll } from '../../../activation/core/cycle.js';
import type { PlanStep } from '../../../activation/core/table.js';
import { openCycleStore } from '../../../activation/data-server/open-cycle-store.js';
import { fresh, intervalMs, startMs } from './cycle-store-tools.js';

const [place = '', keys = '0', where = 'never'] = process.argv.slice(2);
const fatalRound = 3;
let round = 0;

function die(at: string): void {
  if (at === where && round === fatalRound) process.kill(process.pid, 'SIGKILL');
}

const isAddress = place.startsWith('postgresql:');
const store = await openCycleStore(
  isAddress ? { postgresql: place } : { store: place },
  {
    ...fresh,
    afterStep: ({ kind }: PlanStep) => {
      die(kind);
    },
  },
  () => undefined,
);

for (;;) {
  round += 1;
  await store.edit(Array.from({ length: Number(keys) }, (_, index) => ({ put: [`key ${index}`, round] as const })));
  const nowMs = startMs + round * intervalMs;
  await store.change(nowMs, (state) => planLock(state, { holder: 'roller', token: 'it' }, nowMs));
  die('lock');
  await store.change(nowMs, (state) => planRoll(state, 'it', nowMs));
  process.stdout.write(`rolled ${round}\n`);
}
