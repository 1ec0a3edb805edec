import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import { parseKeyFile, publicHexOf, type KeyEntry, type KeyFile, type KeyRole } from '../protocol/secure/keys.js';

/** Far more than the most keys take. */
const maxFileBytes = 65_536;
const forOthers = 0o077;
const privateMode = 0o600;
const hasModes = process.platform !== 'win32';

/** Where keys come from: a file that only its owner may read, or the same text from elsewhere. */
export type KeySource = { readonly file: string } | { readonly text: string; readonly name?: string };

export interface ReadKeys {
  readonly keys: KeyFile;
  /** How messages call the source. */
  readonly where: string;
}

/** Rejects with `bad-option`, which names the file, what is wrong and what to do; never a key. */
export async function readKeys(source: KeySource): Promise<ReadKeys> {
  if ('text' in source) {
    const where = source.name ?? 'the text of the keys';
    return { keys: parseKeyFile(source.text, where), where };
  }
  const where = `the key file ${source.file}`;
  return { keys: parseKeyFile(await readPrivately(source.file), where), where };
}

/** The mode is that of the very file that is read, not of what may stand in its place a moment later. */
async function readPrivately(path: string): Promise<string> {
  let file;
  try {
    file = await open(path, 'r');
    const { mode, size } = await file.stat();
    if (hasModes && (mode & forOthers) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(3, '0');
      throw new LockstepError(
        'bad-option',
        `the key file ${path} may be read by others (mode ${shown}); chmod 600 ${path}`,
      );
    }
    if (size > maxFileBytes)
      throw new LockstepError('bad-option', `${path} is too large for a key file: ${size} bytes`);
    return await file.readFile('utf8');
  } catch (error) {
    if (error instanceof LockstepError) throw error;
    const message = `the key file ${path} can't be read: ${errorText(error)}; make keys with 'lockstep keygen --out DIR', and give this user the file`;
    throw new LockstepError('bad-option', message, { cause: error });
  } finally {
    await file?.close();
  }
}

/** A fresh key, drawn from the system. */
export function drawKey(id: number, state: KeyEntry['state']): KeyEntry {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const privateHex = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url').toString('hex');
  const master = { public: publicHexOf(publicKey), private: privateHex };
  return { id, state, packet: randomBytes(32).toString('hex'), master };
}

export function masterFile(keys: readonly KeyEntry[]): KeyFile {
  return { lockstep: 'keys', format: 1, role: 'master', keys };
}

/** What slaves get of it: all but the private halves. */
export function slaveFileOf(file: KeyFile): KeyFile {
  const keys = file.keys.map(({ id, state, packet, master }) => ({
    id,
    state,
    packet,
    master: { public: master.public },
  }));
  return { ...file, role: 'slave', keys };
}

export function keyFileText(file: KeyFile): string {
  return `${JSON.stringify(file, null, 2)}\n`;
}

export function keyFileName(role: KeyRole): string {
  return `${role}.key`;
}

/** Whole or not at all, and readable by its owner alone from the first byte on. `fresh`: refuses to replace a file. */
export async function writeKeyFile(path: string, file: KeyFile, options: { readonly fresh: boolean }): Promise<void> {
  const draft = `${path}.${process.pid}.draft`;
  try {
    if (options.fresh) {
      await writeFile(path, keyFileText(file), { mode: privateMode, flag: 'wx', flush: true });
      return;
    }
    await writeFile(draft, keyFileText(file), { mode: privateMode, flag: 'wx', flush: true });
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    const exists = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    const message = exists
      ? `${path} is there already, and keys that are in use would be lost with it; give another folder, or change them with 'lockstep key rotate'`
      : `${path} can't be written: ${errorText(error)}; give a folder that this user may write`;
    throw new LockstepError('bad-option', message, { cause: error });
  }
}

export async function keyFileIs(path: string, file: KeyFile): Promise<boolean> {
  try {
    return (await readFile(path, 'utf8')) === keyFileText(file);
  } catch {
    return false;
  }
}
