import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyValueBounds } from './bounds.js';
import type { Entry } from './operations.js';
import { encodeSnapshot, SnapshotReader } from './snapshot-codec.js';

const entries = (count: number, characters = 250): Entry<unknown>[] =>
  Array.from({ length: count }, (_, place) => ({
    key: `key-${place}`,
    value: { text: 'x'.repeat(characters), place },
    version: place + 1,
  }));

function read(pieces: Iterable<Uint8Array>): Entry<unknown>[] {
  const reader = new SnapshotReader<unknown>();
  const found = [...pieces].flatMap((piece) => reader.push(piece));
  reader.finish();
  return found;
}

describe('the bytes of a snapshot', () => {
  it('bring every entry with its version, in bounded frames', () => {
    const given = entries(3000);
    const frames = [...encodeSnapshot(given)];
    expect(frames.length).toBeGreaterThan(4);
    for (const frame of frames) expect(frame.length).toBeLessThan(keyValueBounds.frameBytes + 1024);
    expect(read(frames)).toEqual(given);
    expect(read(encodeSnapshot([]))).toEqual([]);
  });

  it('survive any cutting of the stream', () => {
    const given = entries(40, 5000);
    const stream = Buffer.concat([...encodeSnapshot(given)]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 1, maxLength: 20 }), (sizes) => {
        const pieces: Uint8Array[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          pieces.push(stream.subarray(at, at + Math.max(size, 50)));
          at += Math.max(size, 50);
        }
        expect(read(pieces)).toEqual(given);
      }),
      { numRuns: 20 },
    );
    expect(read(Array.from(stream.subarray(), (_, place) => stream.subarray(place, place + 1)))).toEqual(given);
  });

  it('are made as they are asked for', () => {
    let taken = 0;
    const source = function* (): Generator<Entry<unknown>> {
      for (const entry of entries(3000)) {
        taken += 1;
        yield entry;
      }
    };
    encodeSnapshot(source()).next();
    expect(taken).toBeLessThan(1000);
  });

  it('never become a state when cut or damaged (G11)', () => {
    const stream = Buffer.concat([...encodeSnapshot(entries(20, 20))]);
    for (const length of [0, 4, 100, stream.length - 1]) {
      expect(() => read([stream.subarray(0, length)]), `${length} bytes`).toThrow(
        expect.objectContaining({ code: 'bad-input' }),
      );
    }
    for (let place = 0; place < stream.length; place += 1) {
      const damaged = Buffer.from(stream);
      damaged.writeUInt8((stream[place] ?? 0) ^ 0x04, place);
      expect(() => read([damaged]), `byte ${place}`).toThrow(expect.objectContaining({ code: 'bad-input' }));
    }
    expect(() => read([stream, stream])).toThrow(expect.objectContaining({ code: 'bad-input' }));
    const long = Buffer.from([1, 0xff, 0xff, 0xff, 0xff, 0]);
    expect(() => new SnapshotReader().push(long)).toThrow(/frame of 4294967295 bytes/);
  });
});
