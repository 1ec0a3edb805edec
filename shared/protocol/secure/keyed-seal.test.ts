import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { delta, epoch, samples, tip } from '../../../tests/integration/vectors/samples.js';
import { testKeys } from '../../../tests/integration/sim/keys.js';
import type { NodeId, Peer } from '../kernel/ids.js';
import { Endpoint } from '../stream/endpoint.js';
import { Packer } from '../stream/packer.js';
import { encodeBody } from '../wire/codec.js';
import { headerAt, markBytes } from '../wire/header.js';
import type { Envelope, Message } from '../wire/messages.js';
import { messageOrdinals } from '../wire/registry.js';
import type { RejectReason } from '../wire/reject.js';
import { KeyedSeal, type KeyedSealOptions } from './keyed-seal.js';
import type { GroupKeys } from './keys.js';
import { replayWindow, ReplayWindow } from './replay-window.js';
import { maxStores } from './senders.js';

const dataSet = 'prices';
const limits = { maxDatagramBytes: 1400, windowBytes: 1 << 20 };
const vote = samples['vote-yes'] ?? { kind: 'leave' };
const heartbeat = samples['heartbeat'] ?? { kind: 'leave' };

function peer(node: string, start = 1): Peer {
  return { node: node as NodeId, incarnation: { storeId: Buffer.from(node.padEnd(16, '.')).toString('hex'), start } };
}

function sealOf(
  self: Peer,
  keys: GroupKeys,
  process: Partial<Pick<KeyedSealOptions, 'salt' | 'startedMs'>> = {},
): KeyedSeal {
  return new KeyedSeal({ self, keys, startedMs: 1000 * self.incarnation.start, salt: '0011223344556677', ...process });
}

function node(
  self: Peer,
  keys: GroupKeys,
  process: Partial<Pick<KeyedSealOptions, 'salt' | 'startedMs'>> = {},
): Endpoint {
  return new Endpoint({ self, ...limits, seal: sealOf(self, keys, process) });
}

/** The datagrams in which this endpoint says it to all. */
function say(endpoint: Endpoint, ...messages: readonly Message[]): Buffer[] {
  for (const message of messages) endpoint.send({ to: 'all', dataSet, epoch, message }, 0);
  return endpoint.takeDatagrams(0).map(({ bytes }) => Buffer.from(bytes));
}

function hear(endpoint: Endpoint, datagrams: readonly Uint8Array[], from = '10.0.0.1:1'): Envelope[] {
  return datagrams.flatMap((bytes) => endpoint.receive(bytes, from, 0));
}

function refusedBy(endpoint: Endpoint): Partial<Record<RejectReason, number>> {
  return Object.fromEntries(Object.entries(endpoint.counters.rejected).filter(([, count]) => count > 0));
}

const masters = testKeys('master');
const slaves = testKeys('slave');

describe('keyed datagrams', () => {
  test('reach whoever holds the key, and show nobody else what they say', () => {
    const [datagram = Buffer.alloc(0)] = say(node(peer('a'), slaves), vote);
    expect(datagram.includes(dataSet)).toBe(false);
    expect(hear(node(peer('b'), slaves), [datagram])).toEqual([{ from: peer('a'), dataSet, epoch, message: vote }]);
  });

  test('with any bit flipped, in header, mark, tag or body, are refused and teach nothing', () => {
    const [datagram = Buffer.alloc(0)] = say(node(peer('a'), slaves), vote);
    const receiver = node(peer('b'), slaves);
    for (let bit = 0; bit < 8 * datagram.length; bit += 1) {
      const damaged = Buffer.from(datagram);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(hear(receiver, [damaged])).toEqual([]);
    }
    expect(receiver.held.peers).toBe(0);
    expect(receiver.addressOf(peer('a'))).toBeNull();
    expect(hear(receiver, [datagram])).toHaveLength(1);
  });

  test('forged with a right checksum are refused as unkeyed; keyed ones are, by who has no keys', () => {
    const plain = new Endpoint({ self: peer('a'), ...limits });
    const keyed = node(peer('b'), slaves);
    expect(hear(keyed, say(plain, vote))).toEqual([]);
    expect(refusedBy(keyed)).toEqual({ unkeyed: 1 });
    expect(keyed.held.peers).toBe(0);
    expect(hear(plain, say(keyed, vote))).toEqual([]);
    expect(refusedBy(plain)).toEqual({ 'unknown-key': 1 });
  });

  test("of another group's key are refused: by the id when it is unknown, else by the tag", () => {
    const receiver = node(peer('b'), slaves);
    hear(receiver, say(node(peer('a'), testKeys('slave', { word: 'other' })), vote));
    hear(receiver, say(node(peer('a'), testKeys('slave', { ids: [9] })), vote));
    expect(refusedBy(receiver)).toEqual({ unauthenticated: 1, 'unknown-key': 1 });
    expect(receiver.held.peers).toBe(0);
  });

  test('cut anywhere are refused', () => {
    const [datagram = Buffer.alloc(0)] = say(node(peer('a'), slaves), vote);
    const receiver = node(peer('b'), slaves);
    for (let length = 0; length < datagram.length; length += 1)
      expect(hear(receiver, [datagram.subarray(0, length)])).toEqual([]);
  });
});

describe('replay', () => {
  test('a datagram that comes twice is taken once, also late, and in any order within the window', () => {
    const sender = node(peer('a'), slaves);
    const datagrams = Array.from({ length: 200 }, () => say(sender, vote)).flat();
    const receiver = node(peer('b'), slaves);
    const shuffled = [...datagrams].reverse();
    expect(hear(receiver, shuffled)).toHaveLength(200);
    expect(hear(receiver, datagrams)).toEqual([]);
    expect(refusedBy(receiver)).toEqual({ replayed: 200 });
  });

  test('a forged datagram of a huge sequence does not lock out the real sender', () => {
    const sender = node(peer('a'), slaves);
    const receiver = node(peer('b'), slaves);
    hear(receiver, say(sender, vote));
    const [forged = Buffer.alloc(0)] = say(node(peer('a'), testKeys('slave', { word: 'other' })), vote);
    forged.writeBigUInt64BE(2n ** 53n - 1n, headerAt.sequence);
    expect(hear(receiver, [forged])).toEqual([]);
    expect(refusedBy(receiver)).toEqual({ unauthenticated: 1 });
    expect(hear(receiver, say(sender, vote))).toHaveLength(1);
  });

  test('what an earlier process of a store sent is refused once a later one was heard', () => {
    const receiver = node(peer('b'), slaves);
    const earlier = node(peer('a', 4), slaves);
    const first = say(earlier, vote);
    const recorded = say(earlier, vote);
    expect(hear(receiver, first)).toHaveLength(1);
    expect(hear(receiver, say(node(peer('a', 5), slaves), vote), '10.0.0.2:2')).toHaveLength(1);
    expect(hear(receiver, recorded, '10.0.0.66:6')).toEqual([]);
    expect(refusedBy(receiver)).toEqual({ 'old-incarnation': 1 });
    expect(receiver.addressOf(peer('a', 5))).toBe('10.0.0.2:2');
    // Of a process that this receiver never heard, too.
    expect(hear(receiver, say(node(peer('a', 3), slaves), vote))).toEqual([]);
  });

  test('a join of fewer starts still shows a cloned store, and alone passes', () => {
    const receiver = node(peer('master'), masters);
    hear(receiver, say(node(peer('a', 5), slaves), vote), '10.0.0.2:2');
    const join = samples['join'] ?? vote;
    const clone = say(node(peer('a', 4), slaves), join, vote);
    expect(hear(receiver, clone, '10.0.0.3:3').map(({ message }) => message.kind)).toEqual(['join']);
    expect(refusedBy(receiver)).toEqual({ 'old-incarnation': 1 });
    expect(receiver.addressOf(peer('a', 4))).toBe('10.0.0.3:3');
    expect(receiver.addressOf(peer('a', 5))).toBe('10.0.0.2:2');
  });

  test('a store back from a backup counts its starts again, and is heard', () => {
    const receiver = node(peer('b'), slaves);
    hear(receiver, say(node(peer('a', 9), slaves), vote));
    const restored = node(peer('a', 4), slaves, { startedMs: 1_000_000 });
    expect(hear(receiver, say(restored, vote))).toHaveLength(1);
    // And a node whose clock was set back is heard by its starts.
    expect(hear(receiver, say(node(peer('a', 10), slaves, { startedMs: 0 }), vote))).toHaveLength(1);
  });

  test('the window takes each sequence once, and nothing from below it', () => {
    const sequences = fc.array(fc.oneof(fc.nat(300), fc.nat(3 * replayWindow), fc.nat(2 ** 45)), { maxLength: 300 });
    fc.assert(
      fc.property(sequences, (list) => {
        const window = new ReplayWindow();
        const taken = new Set<number>();
        let highest = -1;
        for (const sequence of list) {
          const isFresh = !taken.has(sequence) && sequence > highest - replayWindow;
          expect(window.isFresh(sequence)).toBe(isFresh);
          if (!isFresh) continue;
          window.take(sequence);
          taken.add(sequence);
          highest = Math.max(highest, sequence);
        }
      }),
    );
  });

  test('memory of senders is bounded', () => {
    const receiver = sealOf(peer('b'), slaves);
    for (let index = 0; index < maxStores + 5; index += 1) {
      const [datagram = Buffer.alloc(0)] = say(node(peer(`n${index}`), slaves), vote);
      expect(typeof receiver.open(datagram)).toBe('object');
    }
    expect(receiver.remembered).toBe(maxStores);
  });
});

describe('nonces', () => {
  /** What AES-GCM must never see twice: the key of a process, named by what it is derived from, and the sequence. */
  function nonceOf(datagram: Buffer): string {
    const framesAt = headerAt.name + (datagram[headerAt.nameLength] ?? 0) + markBytes;
    const key = datagram.subarray(headerAt.keyId, headerAt.sequence).toString('hex');
    return `${key}${datagram.subarray(framesAt - markBytes, framesAt).toString('hex')} ${datagram.readBigUInt64BE(headerAt.sequence)}`;
  }

  test('never come twice: not of one process, nor across restarts, of clones, or after a backup came back', () => {
    const processes = fc.uniqueArray(
      fc.record({ start: fc.integer({ min: 1, max: 3 }), startedMs: fc.nat(2), salt: fc.nat(2 ** 31) }),
      { minLength: 2, maxLength: 6, selector: ({ salt }) => salt },
    );
    fc.assert(
      fc.property(processes, fc.integer({ min: 1, max: 20 }), (list, count) => {
        const seen = new Set<string>();
        for (const { start, startedMs, salt } of list) {
          const endpoint = node(peer('a', start), slaves, { startedMs, salt: salt.toString(16).padStart(16, '0') });
          for (let sent = 0; sent < count; sent += 1)
            for (const datagram of say(endpoint, vote)) seen.add(nonceOf(datagram));
        }
        expect(seen.size).toBe(list.length * count);
      }),
      { numRuns: 50 },
    );
  });

  test('the key depends on all that names the process: equal sequences and plain texts give other bytes', () => {
    const variants = [
      node(peer('a', 1), slaves),
      node(peer('a', 2), slaves, { startedMs: 1000 }),
      node(peer('a', 1), slaves, { startedMs: 1001 }),
      node(peer('a', 1), slaves, { salt: '0011223344556678' }),
      node(peer('b', 1), slaves),
    ];
    const ciphers = variants.map((endpoint) => {
      const [datagram = Buffer.alloc(0)] = say(endpoint, vote);
      return datagram.subarray(headerAt.name + 1 + markBytes).toString('hex');
    });
    expect(new Set(ciphers).size).toBe(variants.length);
  });

  test('a sequence that went is not taken again', () => {
    const seal = sealOf(peer('a'), slaves);
    const datagram = Buffer.concat([seal.header, Buffer.alloc(50)]);
    seal.seal(datagram, 7);
    expect(() => seal.seal(datagram, 7)).toThrow('a sequence is used once');
  });
});

describe('rotation', () => {
  test('what is sent under a key is taken while the key is accepted, in every order of the steps', () => {
    const both = { ids: [1, 2] };
    const steps = [
      testKeys('slave'),
      testKeys('slave', both),
      testKeys('slave', { ...both, current: 2 }),
      testKeys('slave', { ids: [2] }),
    ];
    for (const [at, sends] of steps.entries()) {
      for (const receives of steps.slice(Math.max(0, at - 1), at + 2)) {
        expect(hear(node(peer('b'), receives), say(node(peer('a'), sends), vote))).toHaveLength(1);
      }
    }
    expect(hear(node(peer('b'), testKeys('slave', { ids: [2] })), say(node(peer('a'), slaves), vote))).toEqual([]);
  });

  test('a change of keys forgets no window: what came under the old key is not taken under it again', () => {
    const seal = sealOf(peer('b'), slaves);
    const receiver = new Endpoint({ self: peer('b'), ...limits, seal });
    const datagrams = say(node(peer('a'), slaves), vote);
    expect(hear(receiver, datagrams)).toHaveLength(1);
    seal.replaceKeys(testKeys('slave', { ids: [1, 2], current: 2 }));
    expect(hear(receiver, datagrams)).toEqual([]);
    expect(refusedBy(receiver)).toEqual({ replayed: 1 });
  });
});

describe("a master's word", () => {
  const master = peer('master');
  const mastersOwn = Object.entries(samples).filter(
    ([name, { kind }]) =>
      name !== 'report-slave' &&
      ![
        'survey',
        'promise',
        'join',
        'status',
        'clock-request',
        'vote',
        'inquiry',
        'delta-request',
        'snapshot-request',
      ].includes(kind),
  );

  test.each(mastersOwn)(
    '%s, signed, comes as it went; unsigned, of a holder of a slave key, does nothing',
    (_name, message) => {
      const slave = node(peer('s1'), slaves);
      expect(hear(slave, say(node(master, masters), message))).toMatchObject([
        { from: master, message: { kind: message.kind } },
      ]);
      const target = node(peer('s1'), slaves);
      expect(hear(target, [forge(master, message)])).toEqual([]);
      expect(refusedBy(target)).toEqual({ unsigned: 1 });
    },
  );

  /** What somebody who holds a slave's key, and knows the code, can send in another's name. */
  function forge(as: Peer, message: Message, withSignature: Uint8Array | null = null): Buffer {
    const packer = new Packer(sealOf(as, slaves), 65_507);
    const encoded = encodeBody(message);
    const body =
      withSignature === null
        ? encoded
        : { parts: [...encoded.parts, withSignature], length: encoded.length + withSignature.length };
    const [datagram = Buffer.alloc(0)] = packer.pack([
      {
        id: 0,
        ordinal: messageOrdinals[message.kind],
        context: packer.context(dataSet, epoch),
        body,
        isSigned: withSignature !== null,
        fragmentCount: 1,
      },
    ]);
    return datagram;
  }

  test('a signature that is made up, or taken from another message, is no signature', () => {
    const made = Buffer.alloc(66, 7);
    made.writeUInt16BE(1);
    const target = node(peer('s1'), slaves);
    expect(hear(target, [forge(master, heartbeat, made)])).toEqual([]);
    expect(refusedBy(target)).toEqual({ 'bad-signature': 1 });
  });

  test('a signature covers sender, data set, epoch, kind and every byte of the body', () => {
    const seal = sealOf(master, masters);
    const bytes = Uint8Array.from({ length: 700 }, (_, index) => index & 0xff);
    const message: Message = {
      kind: 'prepare',
      round: 1,
      from: tip(1),
      to: tip(2),
      content: { kind: 'change', change: delta(1, 2, bytes) },
      voters: Uint8Array.of(7),
      lowestOpenRound: 1,
      committed: tip(1),
      activateAtMs: null,
    };
    const packer = new Packer(seal, 65_507);
    const context = packer.context(dataSet, epoch);
    const signed = seal.sign(message, context, encodeBody(message));
    if (signed === null) throw new Error('not signed');
    const body = Buffer.concat(signed.body.parts);
    const end = body.length - 66;
    const came = {
      dataSet,
      epoch,
      message: decoded(body.subarray(0, end)),
      signed: { body: body.subarray(0, end), signature: body.subarray(end) },
      origin: processOf(seal.header),
    };
    const judge = sealOf(peer('s1'), slaves);
    expect(judge.whyUnsigned(came)).toBeNull();
    expect(judge.whyUnsigned({ ...came, dataSet: 'routes' })).toBe('bad-signature');
    expect(judge.whyUnsigned({ ...came, epoch: { ...epoch, number: 4 } })).toBe('bad-signature');
    expect(judge.whyUnsigned({ ...came, origin: processOf(sealOf(peer('s2'), slaves).header) })).toBe('bad-signature');
    expect(judge.whyUnsigned({ ...came, message: { ...samples['commit'], kind: 'commit' } as Message })).toBe(
      'bad-signature',
    );
    // A change's own bytes are covered by its digest, which the core compares; all the rest by the signature.
    const changeAt = body.indexOf(Buffer.from(bytes));
    for (let index = 0; index < body.length; index += 1) {
      if (index >= changeAt && index < changeAt + bytes.length) continue;
      const damaged = Buffer.from(body);
      damaged[index] = (damaged[index] ?? 0) ^ 1;
      const split = { body: damaged.subarray(0, end), signature: damaged.subarray(end) };
      const change = { ...delta(1, 2, bytes), bytes: split.body.subarray(changeAt, changeAt + bytes.length) };
      expect(
        judge.whyUnsigned({ ...came, message: { ...message, content: { kind: 'change', change } }, signed: split }),
      ).toBe('bad-signature');
    }
    function decoded(part: Buffer): Message {
      const at = part.indexOf(Buffer.from(bytes));
      return {
        ...message,
        content: { kind: 'change', change: { ...delta(1, 2, bytes), bytes: part.subarray(at, at + bytes.length) } },
      } as Message;
    }
  });

  test('large messages go in fragments and carry one signature; without it they come to nothing', () => {
    const bytes = Uint8Array.from({ length: 20_000 }, (_, index) => (index * 7) & 0xff);
    const announce: Message = {
      kind: 'announce',
      from: tip(1),
      to: tip(2),
      content: { kind: 'change', change: delta(1, 2, bytes) },
    };
    const slave = node(peer('s1'), slaves);
    const datagrams = say(node(master, masters), announce);
    expect(datagrams.length).toBeGreaterThan(10);
    expect(hear(slave, datagrams)).toMatchObject([{ message: { kind: 'announce' } }]);
    expect(refusedBy(slave)).toEqual({});
    const forger = new Endpoint({ self: master, ...limits, seal: withoutSignatures(sealOf(master, slaves)) });
    const target = node(peer('s1'), slaves);
    expect(hear(target, say(forger, announce))).toEqual([]);
    expect(refusedBy(target)).toEqual({ unsigned: 1 });
  });

  test('a change of many steps is covered whole', () => {
    const big = (fill: number): Uint8Array => new Uint8Array(400).fill(fill);
    const deltas: Message = {
      kind: 'deltas',
      request: 3,
      steps: [delta(1, 2, big(1)), delta(2, 3, Uint8Array.of(5)), delta(3, 4, big(2))],
    };
    expect(hear(node(peer('s1'), slaves), say(node(master, masters), deltas))).toHaveLength(1);
  });

  test('a slave says nothing that only a master could, and a master takes from slaves what is theirs to say', () => {
    const slave = node(peer('s1'), slaves);
    expect(say(slave, samples['resolution'] ?? vote)).toEqual([]);
    expect(slave.counters.withheld).toBe(1);
    const receiver = node(master, masters);
    const theirs = ['leave', 'deltas', 'too-old', 'bulk-offer', 'report-slave', 'vote-yes', 'status', 'clock-request'];
    for (const name of theirs) expect(hear(receiver, say(slave, samples[name] ?? heartbeat))).toHaveLength(1);
    expect(refusedBy(receiver)).toEqual({});
  });

  test('a master believes another one as little without its signature', () => {
    for (const name of [
      'claim',
      'heartbeat',
      'clock',
      'report-empty',
      'prepare-change',
      'commit',
      'abort',
      'welcome',
      'refusal',
      'resolution',
    ]) {
      const message = samples[name];
      if (message === undefined) throw new Error(`no sample ${name}`);
      const receiver = node(peer('second'), masters);
      expect(hear(receiver, [forge(master, message)])).toEqual([]);
      expect(refusedBy(receiver)).toEqual({ unsigned: 1 });
    }
  });

  test('a signature outlives the switch of the current key while its key is accepted', () => {
    const after = testKeys('slave', { ids: [1, 2], current: 2 });
    const seal = sealOf(peer('s1'), after);
    const slave = new Endpoint({ self: peer('s1'), ...limits, seal });
    expect(hear(slave, say(node(master, masters), heartbeat))).toHaveLength(1);
  });

  function processOf(header: Buffer): Uint8Array {
    return Buffer.concat([
      header.subarray(headerAt.storeId, headerAt.sequence),
      header.subarray(header.length - markBytes),
    ]);
  }

  function withoutSignatures(seal: KeyedSeal): KeyedSeal {
    seal.sign = (_message, _context, body) => ({ body, isSigned: false });
    return seal;
  }
});
