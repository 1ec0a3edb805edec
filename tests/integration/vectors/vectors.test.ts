import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Packer, type EncodedMessage } from '../../../shared/protocol/stream/packer.js';
import { encodeBody } from '../../../shared/protocol/wire/codec.js';
import { noEpoch } from '../../../shared/protocol/kernel/ids.js';
import { decodeDatagram, fragmentCount, type Frame } from '../../../shared/protocol/wire/datagram.js';
import { sealDatagram, wireVersion } from '../../../shared/protocol/wire/header.js';
import type { Message } from '../../../shared/protocol/wire/messages.js';
import { messageKinds, messageOrdinals, transportOrdinals } from '../../../shared/protocol/wire/registry.js';
import { encodeFragmentRequest, encodePath, pathDataSet, type PathMessage } from '../../../shared/protocol/wire/transport.js';
import { dataSet, delta, epoch, receiver, samples, sender } from './samples.js';
import { ChecksumSeal } from '../../../shared/protocol/wire/seal.js';

/**
 * Golden vectors: whole datagrams in hexadecimal, one folder for each wire version. A change that moves a byte fails
 * here. `UPDATE_VECTORS=1` writes the vectors that are missing and never touches one that exists: a different byte is a
 * different wire version.
 */
const folder = fileURLToPath(new URL(`v${wireVersion}/`, import.meta.url));
const writeMissing = process.env['UPDATE_VECTORS'] === '1';
const bytesPerLine = 32;

function encoded(packer: Packer, message: Message, id: number): EncodedMessage {
  return { id, ordinal: messageOrdinals[message.kind], context: packer.context(dataSet, epoch), body: encodeBody(message), fragmentCount: 1 };
}

function datagramOf(messages: readonly Message[]): Buffer {
  const packer = new Packer(new ChecksumSeal(sender), 65_507);
  const [datagram] = packer.pack(messages.map((message, index) => encoded(packer, message, index)));
  if (datagram === undefined) throw new Error('nothing was packed');
  return datagram;
}

function fragmentDatagram(index: number): Buffer {
  const packer = new Packer(new ChecksumSeal(sender), 512);
  const bytes = Uint8Array.from({ length: 1000 }, (_, at) => (at * 7) & 0xff);
  const message: Message = { kind: 'announce', from: null, to: delta(0, 1, bytes).to, content: { kind: 'state', state: delta(0, 1, bytes) } };
  const whole = encoded(packer, message, 77);
  return packer.fragment({ ...whole, fragmentCount: fragmentCount(whole.body.length, packer.capacity(whole.context)) }, index);
}

function requestDatagram(): Buffer {
  const packer = new Packer(new ChecksumSeal(receiver), 1400);
  const body = encodeFragmentRequest({ of: sender.incarnation, messageId: 77, ranges: [{ first: 1, count: 1 }, { first: 3, count: 2 }] });
  const context = packer.context(dataSet, epoch);
  const [datagram] = packer.pack([{ id: 0, ordinal: transportOrdinals['fragment-request'], context, body, fragmentCount: 1 }]);
  if (datagram === undefined) throw new Error('nothing was packed');
  return datagram;
}

const paths: Readonly<Record<string, PathMessage>> = {
  'path-probe': { kind: 'path-probe', number: 70_000 },
  'path-answer': { kind: 'path-answer', number: 70_000, byGroup: true },
  'path-mark': { kind: 'path-mark' },
  'path-report': { kind: 'path-report', hears: false },
};

function pathDatagram(message: PathMessage): Buffer {
  const packer = new Packer(new ChecksumSeal(receiver), 1400);
  const context = packer.context(pathDataSet, noEpoch);
  const [datagram] = packer.pack([{ id: 0, ordinal: transportOrdinals[message.kind], context, body: encodePath(message), fragmentCount: 1 }]);
  if (datagram === undefined) throw new Error('nothing was packed');
  return datagram;
}

const packed: readonly Message[] = ['vote-yes', 'status', 'leave'].map((name) => samples[name] ?? { kind: 'leave' });

const built: Readonly<Record<string, Buffer>> = {
  ...Object.fromEntries(Object.entries(samples).map(([name, message]) => [name, datagramOf([message])])),
  'datagram-packed': datagramOf(packed),
  'datagram-fragment-0': fragmentDatagram(0),
  'datagram-fragment-2': fragmentDatagram(2),
  'datagram-fragment-request': requestDatagram(),
  ...Object.fromEntries(Object.entries(paths).map(([name, message]) => [`datagram-${name}`, pathDatagram(message)])),
};

function pathOf(name: string): string {
  return `${folder}${name}.hex`;
}

function golden(name: string): Buffer {
  return Buffer.from(readFileSync(pathOf(name), 'utf8').replaceAll(/\s/g, ''), 'hex');
}

function framesOf(bytes: Uint8Array): readonly Frame[] {
  const decoded = decodeDatagram(bytes);
  if (!decoded.ok) throw new Error(`refused: ${decoded.reason}`);
  return decoded.frames;
}

/** Views and buffers compare by their bytes. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}

if (writeMissing) {
  mkdirSync(folder, { recursive: true });
  for (const [name, datagram] of Object.entries(built)) {
    const lines = datagram.toString('hex').match(new RegExp(`.{1,${bytesPerLine * 2}}`, 'g')) ?? [];
    if (!existsSync(pathOf(name))) writeFileSync(pathOf(name), `${lines.join('\n')}\n`);
  }
}

describe('golden vectors', () => {
  test('there is one for each kind of message, and a file for each vector', () => {
    expect(new Set(Object.values(samples).map((sample) => sample.kind))).toEqual(new Set(messageKinds));
    expect(readdirSync(folder).sort()).toEqual(Object.keys(built).map((name) => `${name}.hex`).sort());
  });

  test.each(Object.keys(built))('%s encodes to these very bytes', (name) => {
    expect(built[name]?.toString('hex')).toBe(golden(name).toString('hex'));
  });

  test.each(Object.entries(samples))('%s decodes to its message', (name, message) => {
    expect(plain(framesOf(golden(name)))).toEqual([plain({ kind: 'message', dataSet, epoch, message, signed: null })]);
  });

  test.each(Object.entries(paths))('%s decodes to its message', (name, message) => {
    expect(framesOf(golden(`datagram-${name}`))).toEqual([{ kind: 'path', message }]);
  });

  test('a packed datagram holds its messages in order', () => {
    expect(plain(framesOf(golden('datagram-packed')))).toEqual(packed.map((message) => plain({ kind: 'message', dataSet, epoch, message, signed: null })));
  });

  test('fragments know their place, a request names its ranges', () => {
    const [first] = framesOf(golden('datagram-fragment-0'));
    const [last] = framesOf(golden('datagram-fragment-2'));
    expect(first).toMatchObject({ kind: 'fragment', messageKind: 'announce', messageId: 77, index: 0, count: 3, offset: 0 });
    expect(last).toMatchObject({ kind: 'fragment', index: 2, count: 3 });
    if (first?.kind !== 'fragment' || last?.kind !== 'fragment') throw new Error('no fragments');
    expect(last.offset).toBe(2 * first.bytes.length);
    expect(last.offset + last.bytes.length).toBe(last.totalBytes);
    expect(framesOf(golden('datagram-fragment-request'))).toEqual([
      { kind: 'fragment-request', request: { of: sender.incarnation, messageId: 77, ranges: [{ first: 1, count: 1 }, { first: 3, count: 2 }] } },
    ]);
  });
});

describe('mutated vectors (G11)', () => {
  const vectors = Object.values(built);

  test('any flipped byte and any cut is noticed', () => {
    for (const vector of vectors) {
      for (let index = 0; index < vector.length; index += 1) {
        const damaged = Buffer.from(vector);
        damaged[index] = (damaged[index] ?? 0) ^ 0x41;
        expect(decodeDatagram(damaged).ok).toBe(false);
      }
      for (let length = 0; length < vector.length; length += 7) {
        expect(decodeDatagram(vector.subarray(0, length)).ok).toBe(false);
      }
    }
  });

  test('damage under a valid checksum never throws, whatever it makes of the message', () => {
    fc.assert(
      fc.property(
        fc.nat(vectors.length - 1),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.option(fc.nat(400), { freq: 3 }),
        (which, edits, cut) => {
          const vector = vectors[which] ?? Buffer.alloc(0);
          const damaged = Buffer.from(vector.subarray(0, vector.length - Math.min(cut ?? 0, vector.length - 60)));
          for (const [position, value] of edits) damaged[57 + (position % (damaged.length - 57))] = value;
          sealDatagram(damaged, 1);
          const decoded = decodeDatagram(damaged);
          if (!decoded.ok) expect(decoded.reason).not.toBe('bad-checksum');
        },
      ),
      { numRuns: 6000 },
    );
  });
});

