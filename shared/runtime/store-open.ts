import { randomBytes } from 'node:crypto';
import { access, constants, mkdir, open as openFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { open } from 'lmdb';
import { Packr } from 'msgpackr';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import type { Incarnation, NodeId } from '../protocol/kernel/ids.js';
import type { Random } from '../protocol/kernel/random.js';
import type { StoreKey } from '../protocol/kernel/store.js';
import { Journal, readJournal, removeJournal } from './journal.js';
import { generationIn, LmdbStore, writeRecords, type BinaryDatabase } from './lmdb-store.js';
import { identityKey, raiseIncarnation, whyForeign, type StoreRole } from './node-identity.js';
import type { Store } from './ports.js';
import { isAlive, parseHolder, thisProcess } from './store-holder.js';
import { decodeKey, encodeKey, rangeUnder } from './store-keys.js';

export interface OpenStoreOptions {
  /** Made when it isn't there. */
  readonly folder: string;
  readonly node: NodeId;
  readonly role: StoreRole;
  readonly random: Random;
  /** What the journal takes before the database does, bytes. Default `journalBytes`. */
  readonly journalBytes?: number;
}

export interface OpenedStore {
  readonly store: Store;
  /** Its start is one higher, durably, than at any time before. */
  readonly incarnation: Incarnation;
}

/** What this code writes and reads. Another number is refused: nothing is converted on the way. */
export const storeFormat = 1;

const formatKey: StoreKey = ['meta', 'format'];
const holderKey: StoreKey = ['meta', 'holder'];
const turnKey: StoreKey = ['meta', 'turn'];
/** A process that looked so many turns ago and claims now is told from one that looked just now. */
const rememberedTurns = 16;
const dataFileName = 'data.mdb';
/** Address space, not disk space: the file grows with what is in it, and beyond this by remapping. */
const mapBytes = 256 * 1024 * 1024;

const packr = new Packr({ useRecords: false, moreTypes: false });

/**
 * Opens a node's store and counts one more start. Rejects, having changed nothing that was there:
 *
 * - `store-unusable`: the folder can't be written, holds something else, or another process has it open;
 * - `store-format`: another format number;
 * - `store-foreign`: another node's, or the other role's.
 */
export async function openStore(options: OpenStoreOptions): Promise<OpenedStore> {
  const { folder } = options;
  await assertUsableFolder(folder);
  const database = openDatabase(folder);
  const release = async (): Promise<void> => {
    await database.remove(encodeKey(holderKey));
  };
  try {
    const isNew = assertOurs(database, options);
    await takeHold(database, folder, isNew);
    await recoverJournal(database, folder);
  } catch (error) {
    await database.close();
    throw error instanceof LockstepError ? error : unusable(folder, error);
  }
  const journal = new Journal(folder, generationIn(database) + 1, options.journalBytes);
  const store = new LmdbStore({ database, journal, folder, release });
  try {
    const incarnation = await raiseIncarnation(store, options);
    // Whose store it is stands in the database itself: that is looked at before the journal may be touched.
    await store.settle();
    return { store, incarnation };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/**
 * `overlappingSync` is off: with it a commit that couldn't be synced is rejected, and its data is there all the same after
 * a restart. `eventTurnBatching` is off: the store makes its own batches, and with it a failed commit also rejects a
 * promise that nobody has, which ends the process.
 */
function openDatabase(folder: string): BinaryDatabase {
  try {
    return open<Buffer, Buffer>({
      path: folder,
      noSubdir: false,
      overlappingSync: false,
      keyEncoding: 'binary',
      encoding: 'binary',
      mapSize: mapBytes,
      cache: false,
      compression: false,
      eventTurnBatching: false,
    });
  } catch (error) {
    throw unusable(folder, error);
  }
}

/** True when there is nothing in it yet. */
function assertOurs(database: BinaryDatabase, options: OpenStoreOptions): boolean {
  const { folder } = options;
  const format = read(database, formatKey);
  if (format === undefined) {
    for (const _key of database.getKeys({ start: Buffer.of(0), limit: 1 })) {
      throw new LockstepError(
        'store-unusable',
        `${folder} holds a database that is no store of Lockstep's; give another folder; nothing was touched`,
      );
    }
    return true;
  }
  if (format !== storeFormat) {
    const message = `the store ${folder} has format ${JSON.stringify(format)}, this program reads and writes format ${storeFormat}; give another folder, or use the program that made it; nothing was touched`;
    throw new LockstepError('store-format', message);
  }
  const foreign = whyForeign(read(database, identityKey), options);
  if (foreign !== null) throw new LockstepError('store-foreign', `${folder}: ${foreign.message}; nothing was touched`);
  return false;
}

/**
 * Of two processes that start together one gets the store: each claims the turn after the last one it saw, on condition
 * that nobody has, and the condition is checked inside the write transaction. (A transaction with a callback would do,
 * too, but opening the same database meanwhile would wait for it in the thread that the callback needs.)
 */
async function takeHold(database: BinaryDatabase, folder: string, isNew: boolean): Promise<void> {
  const holder = parseHolder(read(database, holderKey));
  if (holder !== null && isAlive(holder)) throw inUse(folder, `process ${holder.pid}`);
  const turn = lastTurn(database) + 1;
  const isMine = await database.ifNoExists(encodeKey([...turnKey, turn]), () => {
    if (isNew) void database.put(encodeKey(formatKey), packr.pack(storeFormat));
    void database.put(encodeKey([...turnKey, turn]), packr.pack(true));
    void database.put(encodeKey(holderKey), packr.pack(thisProcess()));
    void database.remove(encodeKey([...turnKey, turn - rememberedTurns]));
  });
  if (!isMine) throw inUse(folder, 'a process that started at the same moment');
}

/** Takes over what a process that died had written to its journal and not yet to the database. */
async function recoverJournal(database: BinaryDatabase, folder: string): Promise<void> {
  const { records, damage } = await readJournal(folder, generationIn(database));
  if (damage !== null) {
    const message = `the journal of the store ${folder} is damaged (${damage}): durable writes are lost; restore the folder, or give an empty one; nothing was touched`;
    throw new LockstepError('store-unusable', message);
  }
  const last = records.at(-1);
  if (last !== undefined) {
    const operations = records.flatMap((record) => record.operations);
    await writeRecords(database, operations, last.generation);
    database.resetReadTxn();
  }
  await removeJournal(folder);
}

function lastTurn(database: BinaryDatabase): number {
  const { start, end } = rangeUnder(turnKey);
  let last = 0;
  for (const key of database.getKeys({ start, end })) last = Number(decodeKey(key).at(-1));
  return last;
}

function inUse(folder: string, by: string): LockstepError {
  const message = `the store ${folder} is in use by ${by}; stop it, or give another folder; nothing was touched`;
  return new LockstepError('store-unusable', message);
}

function read(database: BinaryDatabase, key: StoreKey): unknown {
  const packed = database.get(encodeKey(key));
  return packed === undefined ? undefined : packr.unpack(packed);
}

/**
 * What would make the database fail, or crash, is found before it is opened. The folder is made when it isn't there. Rejects
 * with `store-unusable`.
 */
export async function assertUsableFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    // Asked by doing: a file system that is full or mounted read-only grants access and then refuses.
    const probe = join(folder, `.probe-${randomBytes(6).toString('hex')}`);
    const file = await openFile(probe, 'wx');
    await file.close();
    await rm(probe);
    const path = join(folder, dataFileName);
    if (await isDatabaseOrNew(path)) return;
  } catch (error) {
    throw unusable(folder, error);
  }
  throw new LockstepError(
    'store-unusable',
    `${join(folder, dataFileName)} is damaged, or no database; give another folder, or restore it; nothing was touched`,
  );
}

/** The two head pages of the database, each with its magic number: opening anything else crashes the process. */
const magic = 0xbeef_c0de;
const magicOffset = 24;
const pageSizeOffset = 48;
const smallestPage = 512;
const largestPage = 65_536;

async function isDatabaseOrNew(path: string): Promise<boolean> {
  const size = await stat(path).then(
    (found) => found.size,
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0;
      throw error;
    },
  );
  if (size === 0) return true;
  const file = await openFile(path, 'r+');
  try {
    const head = Buffer.alloc(pageSizeOffset + 4);
    await file.read(head, 0, head.byteLength, 0);
    const pageBytes = head.readUInt32LE(pageSizeOffset);
    if (
      head.readUInt32LE(magicOffset) !== magic ||
      pageBytes < smallestPage ||
      pageBytes > largestPage ||
      size < 2 * pageBytes
    )
      return false;
    await file.read(head, 0, head.byteLength, pageBytes);
    return head.readUInt32LE(magicOffset) === magic;
  } finally {
    await file.close();
  }
}

function unusable(folder: string, error: unknown): LockstepError {
  return new LockstepError(
    'store-unusable',
    `the store ${folder} can't be used: ${errorText(error)}; give a folder that this user may write`,
    { cause: error },
  );
}
