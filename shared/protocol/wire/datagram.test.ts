import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messages, names, peers, epochs } from '../../../tests/integration/vectors/arbitraries.js';
import { dataSet, epoch, samples, sender } from '../../../tests/integration/vectors/samples.js';
import { Packer } from '../stream/packer.js';
import { bodyOfParts, copyBody } from './body.js';
import { decodeBody, encodeBody } from './codec.js';
import { decodeDatagram, fragmentBytes, fragmentCount } from './datagram.js';
import { textField } from './fields.js';
import { sealDatagram } from './header.js';
import type { Message, MessageKind } from './messages.js';
import { packFields, unpackFields } from './msgpack.js';
import { kindOfOrdinal, messageKinds, messageOrdinals, retiredOrdinals, transportOrdinals } from './registry.js';
import { decodeFragmentRequest } from './transport.js';
import { wireLimits } from './wire-limits.js';
import { ChecksumSeal } from './seal.js';

const noBytes = new Uint8Array(0);

function bytesOf(message: Message): Uint8Array {
  const body = encodeBody(message);
  const bytes = new Uint8Array(body.length);
  copyBody(body, { from: 0, length: body.length }, bytes, 0);
  return bytes;
}

function datagramWith(ordinal: number, body: Uint8Array): Buffer {
  const packer = new Packer(new ChecksumSeal(sender), 65_507);
  const [datagram] = packer.pack([
    { id: 0, ordinal, context: packer.context(dataSet, epoch), body: bodyOfParts([body]), fragmentCount: 1 },
  ]);
  if (datagram === undefined) throw new Error('nothing was packed');
  return datagram;
}

/** Byte arrays of whatever class compare by their content. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}

describe('round trips', () => {
  test('each message comes back as it went, and encodes to the same bytes again', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const bytes = bytesOf(message);
        const decoded = decodeBody(message.kind, bytes);
        expect(plain(decoded)).toEqual(plain(message));
        if (decoded !== null) expect(Buffer.compare(bytesOf(decoded), bytes)).toBe(0);
      }),
      { numRuns: 1500 },
    );
  });

  test('a datagram carries sender, sequence, epoch, data set and all its messages', () => {
    fc.assert(
      fc.property(
        peers,
        epochs,
        names,
        fc.array(messages, { minLength: 1, maxLength: 4 }),
        (from, reign, name, sent) => {
          const packer = new Packer(new ChecksumSeal(from), 65_507);
          const frames = sent.map((message, id) => ({
            id,
            ordinal: messageOrdinals[message.kind],
            context: packer.context(name, reign),
            body: encodeBody(message),
            fragmentCount: 1,
          }));
          const decoded = packer.pack(frames).map((datagram) => decodeDatagram(datagram));
          expect(decoded).toHaveLength(1);
          expect(plain(decoded[0])).toEqual(
            plain({
              ok: true,
              sender: from,
              sequence: 1,
              frames: sent.map((message) => ({ kind: 'message', dataSet: name, epoch: reign, message, signed: null })),
            }),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test('the bytes of a change are neither copied into the body nor out of it', () => {
    const bytes = new Uint8Array(5000).fill(9);
    const message = samples['announce-change'];
    if (message?.kind !== 'announce' || message.content.kind !== 'change') throw new Error('another sample');
    const body = encodeBody({ ...message, content: { kind: 'change', change: { ...message.content.change, bytes } } });
    expect(body.parts.at(-1)).toBe(bytes);
    const whole = Buffer.concat(body.parts);
    const decoded = decodeBody('announce', whole);
    if (decoded?.kind !== 'announce' || decoded.content.kind !== 'change') throw new Error('not decoded');
    expect(decoded.content.change.bytes.buffer).toBe(whole.buffer);
  });

  test('a text too long for the wire is cut at a character, refused positions beyond the bound are left out', () => {
    const text = textField('€'.repeat(1000));
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(wireLimits.maxTextBytes);
    expect(text).toBe('€'.repeat(text.length));
    const vote = samples['vote-no'];
    if (vote?.kind !== 'vote') throw new Error('another sample');
    const decoded = decodeBody(
      'vote',
      bytesOf({ ...vote, reason: 'x'.repeat(5000), refused: Array.from({ length: 9000 }, (_, at) => at) }),
    );
    if (decoded?.kind !== 'vote') throw new Error('not decoded');
    expect(decoded.reason).toHaveLength(wireLimits.maxTextBytes);
    expect(decoded.refused).toHaveLength(wireLimits.maxRefused);
  });
});

describe('refusals (G11)', () => {
  const good = datagramWith(messageOrdinals.commit, bytesOf(samples['commit'] ?? { kind: 'leave' }));
  const frameAt = 57 + sender.node.length;

  function edited(edit: (datagram: Buffer) => void): Buffer {
    const datagram = Buffer.from(good);
    edit(datagram);
    sealDatagram(datagram, 1);
    return datagram;
  }

  const cases: readonly (readonly [name: string, reason: string, datagram: Buffer])[] = [
    ['nothing at all', 'truncated', Buffer.alloc(0)],
    ['half a header', 'truncated', good.subarray(0, 30)],
    ['a foreign protocol', 'bad-magic', Buffer.from('GET / HTTP/1.1\r\nHost: example.org\r\n\r\n'.repeat(3))],
    [
      'another wire version',
      'other-version',
      edited((datagram) => {
        datagram[4] = 2;
      }),
    ],
    [
      'a key that nobody gave',
      'unknown-key',
      edited((datagram) => {
        datagram.writeUInt16BE(5, 6);
      }),
    ],
    [
      'a flipped bit',
      'bad-checksum',
      ((): Buffer => {
        const copy = Buffer.from(good);
        copy[100] = (copy[100] ?? 0) ^ 1;
        return copy;
      })(),
    ],
    [
      'a tag beyond its checksum',
      'bad-checksum',
      ((): Buffer => {
        const copy = Buffer.from(good);
        copy[50] = 1;
        return copy;
      })(),
    ],
    ['no frame', 'truncated', sealed(good.subarray(0, frameAt))],
    [
      'header flags',
      'bad-header',
      edited((datagram) => {
        datagram[5] = 1;
      }),
    ],
    [
      'a sender without name',
      'bad-header',
      edited((datagram) => {
        datagram[56] = 0;
      }),
    ],
    [
      'a sender with a control character',
      'bad-header',
      edited((datagram) => {
        datagram[57] = 10;
      }),
    ],
    [
      'a sender with broken UTF-8',
      'bad-header',
      edited((datagram) => {
        datagram[57] = 0xff;
      }),
    ],
    [
      'an unsafe start counter',
      'bad-header',
      edited((datagram) => {
        datagram[24] = 0xff;
      }),
    ],
    [
      'frame flags',
      'bad-frame',
      edited((datagram) => {
        datagram[frameAt + 1] = 1;
      }),
    ],
    [
      'an unsafe epoch',
      'bad-frame',
      edited((datagram) => {
        datagram[frameAt + 18] = 0xff;
      }),
    ],
    [
      'a data set with a slash',
      'bad-frame',
      edited((datagram) => {
        datagram[frameAt + 43] = 0x2f;
      }),
    ],
    [
      'a lie about the total',
      'bad-frame',
      edited((datagram) => {
        datagram.writeUInt32BE(1, frameAt + 10);
      }),
    ],
    [
      'no fragments',
      'bad-frame',
      edited((datagram) => {
        datagram.writeUInt16BE(0, frameAt + 8);
      }),
    ],
    [
      'an index beyond the count',
      'bad-frame',
      edited((datagram) => {
        datagram.writeUInt16BE(3, frameAt + 8);
        datagram.writeUInt16BE(3, frameAt + 6);
      }),
    ],
    [
      'a total of gigabytes',
      'bad-frame',
      edited((datagram) => {
        datagram.writeUInt16BE(60_000, frameAt + 8);
        datagram.writeUInt32BE(0xffff_ffff, frameAt + 10);
      }),
    ],
    [
      'a length beyond the end',
      'truncated',
      edited((datagram) => {
        datagram.writeUInt32BE(0xffff_ffff, frameAt + 14);
      }),
    ],
    [
      'a kind from the future',
      'unknown-kind',
      edited((datagram) => {
        datagram[frameAt] = 200;
      }),
    ],
    [
      'kind 0',
      'unknown-kind',
      edited((datagram) => {
        datagram[frameAt] = 0;
      }),
    ],
    [
      'a body of another kind',
      'bad-body',
      edited((datagram) => {
        datagram[frameAt] = messageOrdinals.vote;
      }),
    ],
    ['an empty body', 'bad-body', datagramWith(messageOrdinals.survey, noBytes)],
    ['a field too many', 'bad-body', datagramWith(messageOrdinals.survey, packFields([1]))],
    ['a field too few', 'bad-body', datagramWith(messageOrdinals['too-old'], packFields([1, null]))],
    ['a negative request', 'bad-body', datagramWith(messageOrdinals['snapshot-request'], packFields([-1]))],
    ['a fraction', 'bad-body', datagramWith(messageOrdinals['snapshot-request'], packFields([1.5]))],
    ['an unsafe integer', 'bad-body', datagramWith(messageOrdinals['snapshot-request'], packFields([2 ** 53]))],
    ['a short id', 'bad-body', datagramWith(messageOrdinals.claim, packFields([new Uint8Array(47)]))],
    ['a slot beyond the members', 'bad-body', datagramWith(messageOrdinals.welcome, packFields([4096, 3000]))],
    ['a lease of no number', 'bad-body', datagramWith(messageOrdinals.welcome, packFields([1, Number.NaN]))],
    ['bytes after the body', 'bad-body', datagramWith(messageOrdinals.survey, Uint8Array.of(0x90, 0x90))],
    ['a map', 'bad-body', datagramWith(messageOrdinals.claim, Uint8Array.of(0x91, 0x80))],
    ['an extension', 'bad-body', datagramWith(messageOrdinals.claim, Uint8Array.of(0x91, 0xd4, 0x78, 0x00))],
    [
      'an array of four billion',
      'bad-body',
      datagramWith(messageOrdinals.claim, Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)),
    ],
    ['arrays without end', 'bad-body', datagramWith(messageOrdinals.claim, new Uint8Array(1000).fill(0x91))],
    [
      'a bin beyond the end',
      'bad-body',
      datagramWith(messageOrdinals.claim, Uint8Array.of(0x91, 0xc6, 0xff, 0xff, 0xff, 0xff)),
    ],
    [
      'a request for fragments in fragments',
      'bad-frame',
      edited((datagram) => {
        datagram[frameAt] = 1;
        datagram.writeUInt16BE(2, frameAt + 8);
      }),
    ],
  ];

  function sealed(part: Buffer): Buffer {
    const copy = Buffer.from(part);
    sealDatagram(copy, 1);
    return copy;
  }

  test.each(cases)('%s: %s', (_name, reason, datagram) => {
    expect(decodeDatagram(datagram)).toEqual({ ok: false, reason });
  });

  test('a chain may say "where the step before ends" only from its second step on', () => {
    const step = [0, new Uint8Array(48).fill(1), new Uint8Array(16), new Uint8Array(1)];
    expect(decodeBody('deltas', packFields([1, [step]]))).toBeNull();
  });

  test('more than the bounds allow is refused', () => {
    const tooManySteps = Array.from({ length: wireLimits.maxDeltaSteps + 1 }, () => 1);
    expect(decodeBody('deltas', packFields([1, tooManySteps]))).toBeNull();
    const ranges = Array.from({ length: 2 * wireLimits.maxFragmentRanges + 2 }, () => 1);
    expect(decodeFragmentRequest(packFields([new Uint8Array(16), 1, 1, ranges]))).toBeNull();
  });
});

describe('random bytes (G11)', () => {
  test('never throw, as a datagram', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(decodeDatagram(bytes).ok).toBe(false);
      }),
      { numRuns: 3000 },
    );
  });

  test('never throw, as a body of any kind', () => {
    fc.assert(
      fc.property(fc.constantFrom<MessageKind>(...messageKinds), fc.uint8Array({ maxLength: 200 }), (kind, bytes) => {
        const message = decodeBody(kind, bytes);
        if (message !== null) expect(message.kind).toBe(kind);
      }),
      { numRuns: 4000 },
    );
  });

  test('the walk over a body accepts what the library writes, and all of it', () => {
    const values = fc.letrec((tie) => ({
      value: fc.oneof(
        fc.constant(null),
        fc.boolean(),
        fc.integer(),
        fc.double({ noNaN: true }),
        fc.string(),
        fc.uint8Array({ maxLength: 300 }),
        tie('list'),
      ),
      list: fc.array(tie('value'), { maxLength: 4, depthIdentifier: 'body' }),
    }));
    fc.assert(
      fc.property(fc.array(values.value, { maxLength: 30 }), (fields) => {
        const depth = (value: unknown): number => (Array.isArray(value) ? 1 + Math.max(0, ...value.map(depth)) : 0);
        fc.pre(depth(fields) <= wireLimits.maxDepth);
        expect(unpackFields(packFields(fields))).not.toBeNull();
      }),
      { numRuns: 1500 },
    );
  });
});

describe('numbers', () => {
  test('no ordinal is used twice or used again', () => {
    const used = [...Object.values(messageOrdinals), ...Object.values(transportOrdinals), ...retiredOrdinals];
    expect(new Set(used).size).toBe(used.length);
    for (const kind of messageKinds) expect(kindOfOrdinal(messageOrdinals[kind])).toBe(kind);
  });

  test('fragments cover a body exactly, none is empty, each knows its place', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: wireLimits.maxMessageBytes }),
        fc.integer({ min: 200, max: 65_000 }),
        (total, capacity) => {
          const count = fragmentCount(total, capacity);
          const size = fragmentBytes(total, count);
          expect(size).toBeLessThanOrEqual(capacity);
          expect((count - 1) * size).toBeLessThan(total);
          expect(count * size).toBeGreaterThanOrEqual(total);
          expect(Math.ceil(total / size)).toBe(count);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
