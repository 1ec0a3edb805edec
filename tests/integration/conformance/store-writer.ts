/**
 * A process of its own that writes to a store until it is killed, or until the disk refuses. Its output says what it was
 * told to be durable: `done N` after the first N transactions are, `failed CODE` when one wasn't.
 *
 * Arguments: the folder, the bytes of one value, and the bytes of a full journal.
 */
import type { NodeId } from '../../../shared/protocol/kernel/ids.js';
import { LockstepError } from '../../../shared/protocol/kernel/errors.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import { openStore } from '../../../shared/runtime/store-open.js';

/** Under way at once: some wait, and share a transaction. */
const window = 8;

/** Waits when nobody reads: to a pipe it is written at once. */
function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const [folder, valueBytes, journalBytes] = process.argv.slice(2);
if (folder === undefined || valueBytes === undefined || journalBytes === undefined)
  throw new Error('usage: store-writer FOLDER BYTES JOURNAL-BYTES');

const { store } = await openStore({
  folder,
  node: 's1' as NodeId,
  role: 'slave',
  random: seededRandom(1),
  journalBytes: Number(journalBytes),
});
const padding = new Uint8Array(Number(valueBytes)).fill(7);
let next = [...store.range(['left'])].length;
let failures = 0;

function writeOne(): void {
  const index = next;
  next += 1;
  store.write(
    (transaction) => {
      transaction.put(['left', index], index);
      transaction.put(['padding', index % window], padding);
      if (padding.byteLength > 0) transaction.put(['padding', index], padding);
      transaction.put(['right', index], index);
      transaction.put(['last'], index);
    },
    { durable: true },
    (error) => {
      if (error === null) {
        say(`done ${index + 1}`);
        writeOne();
      } else {
        say(`failed ${error instanceof LockstepError ? error.code : error.name}`);
        failures += 1;
        // One more try, at a store that has failed; then the others under way have ended, too.
        if (failures === 1) writeOne();
      }
    },
  );
}

for (let index = 0; index < window; index += 1) writeOne();
