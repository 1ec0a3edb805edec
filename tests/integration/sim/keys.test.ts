import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { verifyEd25519 } from '../../../shared/protocol/secure/signatures.js';
import { rememberingVerifier } from './keys.js';

describe('a verifier that remembers', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const other = generateKeyPairSync('ed25519').publicKey;
  const signed = Buffer.from('what a master says to all');
  const signature = sign(null, signed, privateKey);

  function counted(): { readonly verify: typeof verifyEd25519; readonly asked: () => number } {
    let asked = 0;
    const verify = rememberingVerifier((...question) => {
      asked += 1;
      return verifyEd25519(...question);
    });
    return { verify, asked: () => asked };
  }

  test('computes once what many ask, yes and no', () => {
    const { verify, asked } = counted();
    const forged = Buffer.from(signature).fill(7, 0, 8);
    for (let slave = 0; slave < 5; slave += 1) {
      expect(verify(Buffer.from(signed), publicKey, Buffer.from(signature))).toBe(true);
      expect(verify(Buffer.from(signed), publicKey, Buffer.from(forged))).toBe(false);
    }
    expect(asked()).toBe(2);
  });

  test('takes an answer for no other bytes and no other key, nor when the bytes are written to later', () => {
    const { verify } = counted();
    const bytes = Buffer.from(signed);
    expect(verify(bytes, publicKey, signature)).toBe(true);
    bytes[0] = 0;
    expect(verify(bytes, publicKey, signature)).toBe(false);
    expect(verify(signed, other, signature)).toBe(false);
    expect(verify(signed, publicKey, signature)).toBe(true);
    expect(verify(signed, createPublicKey(privateKey), signature)).toBe(true);
  });
});
