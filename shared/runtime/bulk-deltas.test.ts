import { describe, expect, it } from 'vitest';
import { issueDelta } from '../protocol/kernel/digest.js';
import type { Delta, Epoch, Tip, Version } from '../protocol/kernel/ids.js';
import { DeltaStreamDecoder, encodeDeltaStream } from './bulk-deltas.js';

const epoch: Epoch = { number: 1, claimant: 'ab'.repeat(16) };

function chainOfDeltas(count: number, bytesEach: number): Delta[] {
  const deltas: Delta[] = [];
  let tip: Tip | null = null;
  for (let version = 1; version <= count; version += 1) {
    const delta = issueDelta(tip, epoch, version as Version, new Uint8Array(bytesEach).fill(version));
    deltas.push(delta);
    tip = delta.to;
  }
  return deltas;
}

function plain(deltas: readonly Delta[]): unknown[] {
  return deltas.map((delta) => ({ ...delta, bytes: [...delta.bytes] }));
}

describe('a stream of deltas', () => {
  it.each([1, 3, 1000])('comes back the same, whatever the chunks (%i bytes)', (chunkBytes) => {
    const deltas = chainOfDeltas(20, 100);
    const stream = Buffer.concat([...encodeDeltaStream(deltas)]);
    const decoder = new DeltaStreamDecoder();
    const decoded: Delta[] = [];
    for (let at = 0; at < stream.byteLength; at += chunkBytes) {
      const result = decoder.push(stream.subarray(at, at + chunkBytes));
      if (!result.ok) throw new Error(result.reason);
      decoded.push(...result.deltas);
    }
    expect(plain(decoded)).toEqual(plain(deltas));
    expect(decoder.complete).toBe(true);
  });

  it('packs small deltas into few chunks', () => {
    expect([...encodeDeltaStream(chainOfDeltas(200, 50))]).toHaveLength(1);
  });

  it('refuses bytes that do not match the digest', () => {
    const stream = Buffer.concat([...encodeDeltaStream(chainOfDeltas(1, 100))]);
    stream[stream.byteLength - 1] = 255;
    expect(new DeltaStreamDecoder().push(stream)).toEqual({ ok: false, reason: 'a delta does not match its digest' });
  });

  it('never throws on garbage, and says that a cut stream is not complete', () => {
    const garbage = Buffer.from([0, 0, 0, 3, 0xc1, 0xff, 0x00, 1, 2, 3]);
    expect(new DeltaStreamDecoder().push(garbage)).toMatchObject({ ok: false });
    expect(new DeltaStreamDecoder().push(Buffer.alloc(8, 0xff))).toMatchObject({ ok: false });
    const stream = Buffer.concat([...encodeDeltaStream(chainOfDeltas(1, 100))]);
    const decoder = new DeltaStreamDecoder();
    expect(decoder.push(stream.subarray(0, 60))).toEqual({ ok: true, deltas: [] });
    expect(decoder.complete).toBe(false);
  });
});
