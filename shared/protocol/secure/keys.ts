import { createPrivateKey, createPublicKey, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { LockstepError } from '../kernel/errors.js';

export type KeyRole = 'master' | 'slave';

/** One generation of a group's keys. */
export interface GroupKey {
  /** 1 to 65,535: stands in every datagram. */
  readonly id: number;
  /** What datagrams are encrypted with, by a subkey for each process; never used itself. */
  readonly packet: Buffer;
  /** What streams are encrypted with. */
  readonly stream: Buffer;
  readonly masterPublic: KeyObject;
  /** Null in a slave's file. */
  readonly masterPrivate: KeyObject | null;
}

/** What a node holds: it sends with `current` and accepts all. */
export interface GroupKeys {
  readonly role: KeyRole;
  readonly current: GroupKey;
  readonly byId: ReadonlyMap<number, GroupKey>;
}

/** The text of a key file, as it is written. */
export interface KeyFile {
  readonly lockstep: 'keys';
  readonly format: 1;
  readonly role: KeyRole;
  readonly keys: readonly KeyEntry[];
}

export interface KeyEntry {
  readonly id: number;
  readonly state: 'current' | 'accepted';
  /** 64 hexadecimal digits: AES-256. */
  readonly packet: string;
  /** Ed25519, 64 hexadecimal digits each; the private one in the masters' file alone. */
  readonly master: { readonly public: string; readonly private?: string };
}

/** More are never needed at once: a rotation needs two. */
export const maxKeys = 8;
const maxKeyId = 65_535;
const hexKey = /^[0-9a-f]{64}$/;
const remedy = "make keys with 'lockstep keygen --out DIR', or copy the file again";

/**
 * Reads what a key file holds. Throws `bad-option` that names `where` (the file, or the variable), the field that is
 * wrong and what to do; never a key.
 */
export function parseKeyFile(text: string, where: string): KeyFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong(where, 'it is no JSON');
  }
  const file = fieldsOf(value, ['lockstep', 'format', 'role', 'keys'], where, 'the file');
  if (file['lockstep'] !== 'keys') throw wrong(where, '"lockstep" must be "keys"');
  if (file['format'] !== 1) {
    const message = `${where} has format ${JSON.stringify(file['format'])}, this program reads format 1; use the program that made it`;
    throw new LockstepError('bad-option', message);
  }
  const role = file['role'];
  if (role !== 'master' && role !== 'slave') throw wrong(where, '"role" must be "master" or "slave"');
  const list = file['keys'];
  if (!Array.isArray(list) || list.length === 0 || list.length > maxKeys)
    throw wrong(where, `"keys" must be a list of 1 to ${maxKeys} keys`);
  const keys = list.map((entry: unknown, index) => parseEntry(entry, role, where, `keys[${index}]`));
  if (keys.filter(({ state }) => state === 'current').length !== 1)
    throw wrong(where, '"state" must be "current" for exactly one of the keys, and "accepted" for the others');
  if (new Set(keys.map(({ id }) => id)).size !== keys.length) throw wrong(where, 'two keys have the same "id"');
  if (new Set(keys.map(({ packet }) => packet)).size !== keys.length)
    throw wrong(where, 'two keys have the same "packet"');
  return { lockstep: 'keys', format: 1, role, keys };
}

function parseEntry(value: unknown, role: KeyRole, where: string, at: string): KeyEntry {
  const entry = fieldsOf(value, ['id', 'state', 'packet', 'master'], where, at);
  const { id, state } = entry;
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 1 || id > maxKeyId)
    throw wrong(where, `${at}.id must be a whole number from 1 to ${maxKeyId}`);
  if (state !== 'current' && state !== 'accepted') throw wrong(where, `${at}.state must be "current" or "accepted"`);
  const packet = hexOf(entry['packet'], where, `${at}.packet`);
  const names = role === 'master' ? ['public', 'private'] : ['public'];
  const master = fieldsOf(entry['master'], names, where, `${at}.master`);
  const publicKey = hexOf(master['public'], where, `${at}.master.public`);
  if (role === 'slave') return { id, state, packet, master: { public: publicKey } };
  const privateKey = hexOf(master['private'], where, `${at}.master.private`);
  return { id, state, packet, master: { public: publicKey, private: privateKey } };
}

/** Exactly these fields: a misspelt one isn't passed over, and neither is a private key in a slave's file. */
function fieldsOf(value: unknown, names: readonly string[], where: string, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(where, `${at} must be an object`);
  for (const name of Object.keys(value))
    if (!names.includes(name)) throw wrong(where, `${at} has the field "${name}", which doesn't belong there`);
  for (const name of names) if (!(name in value)) throw wrong(where, `${at} lacks the field "${name}"`);
  return value as Record<string, unknown>;
}

function hexOf(value: unknown, where: string, at: string): string {
  if (typeof value === 'string' && hexKey.test(value)) return value;
  throw wrong(where, `${at} must be 64 lower-case hexadecimal digits`);
}

function wrong(where: string, what: string): LockstepError {
  return new LockstepError('bad-option', `${where} can't be used: ${what}; ${remedy}`);
}

/** The keys of a file that a node of this role may use. Throws `bad-option`. */
export function groupKeys(file: KeyFile, role: KeyRole, where: string): GroupKeys {
  if (file.role !== role) {
    const message =
      role === 'master'
        ? `${where} is a slave's key file, which can't prove a master; give this master master.key`
        : `${where} holds the masters' private key, with which this slave could pose as one; give it slave.key`;
    throw new LockstepError('bad-option', message);
  }
  const byId = new Map<number, GroupKey>();
  let current: GroupKey | null = null;
  for (const [index, entry] of file.keys.entries()) {
    const key = groupKey(entry, where, `keys[${index}]`);
    byId.set(key.id, key);
    if (entry.state === 'current') current = key;
  }
  if (current === null) throw wrong(where, 'no key is current');
  return { role, current, byId };
}

function groupKey(entry: KeyEntry, where: string, at: string): GroupKey {
  const secret = Buffer.from(entry.packet, 'hex');
  const { public: publicHex, private: privateHex } = entry.master;
  let masterPublic: KeyObject;
  let masterPrivate: KeyObject | null = null;
  try {
    const x = Buffer.from(publicHex, 'hex').toString('base64url');
    masterPublic = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    if (privateHex !== undefined) masterPrivate = privateKeyOf(privateHex);
  } catch (error) {
    throw new LockstepError('bad-option', `${where} can't be used: ${at}.master is no Ed25519 key; ${remedy}`, {
      cause: error,
    });
  }
  if (masterPrivate !== null && publicHexOf(masterPrivate) !== publicHex)
    throw wrong(where, `${at}.master.public isn't the public half of ${at}.master.private`);
  return {
    id: entry.id,
    packet: subkey(secret, 'lockstep packets'),
    stream: subkey(secret, 'lockstep streams'),
    masterPublic,
    masterPrivate,
  };
}

/** The seed of a private key, wrapped the way that every version of Node reads: PKCS #8. */
const ed25519Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

function privateKeyOf(hex: string): KeyObject {
  const key = Buffer.concat([ed25519Prefix, Buffer.from(hex, 'hex')]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

export function publicHexOf(key: KeyObject): string {
  const half = key.type === 'public' ? key : createPublicKey(key);
  return Buffer.from(half.export({ format: 'jwk' }).x ?? '', 'base64url').toString('hex');
}

/** The public half, in hexadecimal, of a private key given so. */
export function publicHexOfPrivate(privateHex: string): string {
  return publicHexOf(privateKeyOf(privateHex));
}

function subkey(secret: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), purpose, 32));
}

/** The key of one process's datagrams: nonces need to be unique within a process only. */
export function processKey(key: GroupKey, process: Uint8Array): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', key.packet, process, 'lockstep process', 32)));
}
