import { createHash, type KeyObject } from 'node:crypto';
import {
  groupKeys,
  publicHexOfPrivate,
  type GroupKeys,
  type KeyEntry,
  type KeyFile,
  type KeyRole,
} from '../../../shared/protocol/secure/keys.js';
import { verifyEd25519, type VerifySignature } from '../../../shared/protocol/secure/signatures.js';

export interface TestKeyOptions {
  /** Default: 1 alone. */
  readonly ids?: readonly number[];
  /** Default: the first. */
  readonly current?: number;
  /** Another word makes other keys. */
  readonly word?: string;
}

/** Keys made from words: the same at each run, and worth nothing. */
export function testKeyFile(role: KeyRole, options: TestKeyOptions = {}): KeyFile {
  const { ids = [1], word = 'test' } = options;
  const current = options.current ?? ids[0];
  const keys = ids.map((id): KeyEntry => {
    const privateHex = hexOf(`${word} master ${id}`);
    const publicHex = publicHexOfPrivate(privateHex);
    return {
      id,
      state: id === current ? 'current' : 'accepted',
      packet: hexOf(`${word} packet ${id}`),
      master: role === 'master' ? { public: publicHex, private: privateHex } : { public: publicHex },
    };
  });
  return { lockstep: 'keys', format: 1, role, keys };
}

export function testKeys(role: KeyRole, options: TestKeyOptions = {}): GroupKeys {
  return groupKeys(testKeyFile(role, options), role, 'the test keys');
}

function hexOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

interface Verified {
  readonly signed: Uint8Array;
  readonly key: KeyObject;
  readonly isValid: boolean;
}

/** Answers are asked for soon after the first time, if at all. */
const maxVerified = 4096;

/**
 * Ed25519, with the answers remembered: what a master says to all is verified by each slave, and that is most of what a
 * world with keys would compute. An answer counts only for the very same bytes, key and signature.
 */
export function rememberingVerifier(verify: VerifySignature = verifyEd25519): VerifySignature {
  const answers = new Map<string, Verified>();
  return (signed, key, signature) => {
    const name = Buffer.from(signature).toString('latin1');
    const known = answers.get(name);
    if (known !== undefined && known.key === key && Buffer.compare(known.signed, signed) === 0) return known.isValid;
    const isValid = verify(signed, key, signature);
    if (answers.size >= maxVerified) answers.clear();
    answers.set(name, { signed: new Uint8Array(signed), key, isValid });
    return isValid;
  };
}

/** What each node of a world holds, now and at its next start; null for a world without keys. */
export class WorldKeys {
  readonly verifySignature = rememberingVerifier();
  readonly #ofNode = new Map<string, GroupKeys>();
  readonly #first: Readonly<Record<KeyRole, GroupKeys>> = { master: testKeys('master'), slave: testKeys('slave') };

  of(node: string, role: KeyRole): GroupKeys {
    return this.#ofNode.get(node) ?? this.#first[role];
  }

  put(node: string, keys: GroupKeys): void {
    this.#ofNode.set(node, keys);
  }
}
