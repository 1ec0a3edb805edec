import { hash } from 'node:crypto';
import type { ChainId, Delta, Digest, Epoch, Tip, Version } from './ids.js';

/** SHA-256 cut to 128 bits: enough against accident; against a forger the packets' authentication stands guard. */
const hexDigits = 32;

/** The first 128 bits of the SHA-256 of the bytes. */
export function digestOf(bytes: Uint8Array): Digest {
  return hash('sha256', bytes, 'hex').slice(0, hexDigits) as Digest;
}

/**
 * The name of the state that a change leads to: a hash over the prior state's name, the birth epoch, the version and
 * the digest of the change as first issued. The master computes it once; everybody else carries it, so that it holds
 * however a slave got there (G8).
 */
export function chainAfter(prior: Tip | null, birth: Epoch, version: Version, change: Digest): ChainId {
  const text = `${prior === null ? '' : prior.chain}|${birth.number}|${birth.claimant}|${version}|${change}`;
  return hash('sha256', text, 'hex').slice(0, hexDigits) as ChainId;
}

/** Builds the delta that a change makes as it is first issued: the only place where a new tip comes into being. */
export function issueDelta(prior: Tip | null, birth: Epoch, version: Version, bytes: Uint8Array): Delta {
  const digest = digestOf(bytes);
  return {
    from: prior,
    to: { epoch: birth, version, chain: chainAfter(prior, birth, version, digest) },
    bytes,
    digest,
  };
}

/** True when the bytes are those that the delta's digest names. */
export function isIntact(delta: Delta): boolean {
  return digestOf(delta.bytes) === delta.digest;
}
