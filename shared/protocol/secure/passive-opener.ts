import { createDecipheriv, type KeyObject } from 'node:crypto';
import { asBuffer, readSafe } from '../wire/fields.js';
import { headerAt, markBytes, readFields, readKeyId, tagBytes } from '../wire/header.js';
import type { RejectReason } from '../wire/reject.js';
import type { OpenedDatagram } from '../wire/seal.js';
import { processKey, type GroupKeys } from './keys.js';

/** Each costs a derivation; a capture of a large group has a few hundred processes. */
const maxProcesses = 4096;

/**
 * Reads keyed datagrams as a bystander: for captures, in which one datagram may stand twice and those of several nodes and
 * hours in any order. So it has no replay windows, and nothing that it reads may be acted upon.
 */
export class PassiveOpener {
  readonly #keys: GroupKeys;
  readonly #processKeys = new Map<string, KeyObject>();

  constructor(keys: GroupKeys) {
    this.#keys = keys;
  }

  /** Of a datagram with a key id other than 0. Never throws, and writes nothing to the bytes. */
  open(bytes: Uint8Array): OpenedDatagram | RejectReason {
    const datagram = asBuffer(bytes);
    const keyId = readKeyId(datagram);
    if (typeof keyId === 'string') return keyId;
    const key = this.#keys.byId.get(keyId);
    if (key === undefined) return keyId === 0 ? 'unkeyed' : 'unknown-key';
    const framesAt = headerAt.name + (datagram[headerAt.nameLength] ?? 0) + markBytes;
    if (datagram.length <= framesAt) return 'truncated';
    if (readSafe(datagram, headerAt.sequence) < 0) return 'bad-header';
    const origin = Buffer.concat([
      datagram.subarray(headerAt.storeId, headerAt.sequence),
      datagram.subarray(framesAt - markBytes, framesAt),
    ]);
    const name = `${keyId} ${origin.toString('latin1')}`;
    const known = this.#processKeys.get(name);
    const subkey = known ?? processKey(key, origin);
    const frames = decrypt(datagram, framesAt, subkey);
    if (frames === null) return 'unauthenticated';
    const header = readFields(datagram, keyId);
    if (typeof header === 'string') return header;
    if (known === undefined) {
      if (this.#processKeys.size >= maxProcesses) this.#processKeys.clear();
      this.#processKeys.set(name, subkey);
    }
    return { header: { ...header, framesAt: 0 }, bytes: frames, isOlder: false, origin };
  }
}

function decrypt(datagram: Buffer, framesAt: number, key: KeyObject): Buffer | null {
  const header = Buffer.from(datagram.subarray(0, framesAt));
  const nonce = Buffer.concat([Buffer.alloc(4), header.subarray(headerAt.sequence, headerAt.sequence + 8)]);
  header.fill(0, headerAt.tag, headerAt.tag + tagBytes);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(header);
  decipher.setAuthTag(datagram.subarray(headerAt.tag, headerAt.tag + tagBytes));
  const frames = decipher.update(datagram.subarray(framesAt));
  try {
    decipher.final();
  } catch {
    return null;
  }
  return frames;
}
