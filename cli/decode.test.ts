import { chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { messageKinds, transportOrdinals } from '../shared/protocol/wire/registry.js';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import {
  goldenVectors,
  ipv4Packet,
  keyFiles as vectorKeys,
  links,
  pcapFile,
  pcapngFile,
  type FileOptions,
} from '../tests/support/capture-files.js';
import { roundArgument } from './flags.js';
import { runProgram } from './program.js';
import type { Shell } from './shell.js';

interface Ran {
  readonly exitCode: number;
  readonly lines: readonly string[];
  readonly err: string;
}

let folder = '';
/** The vectors' own, readable by their owner alone, as key files have to be. */
let keyFiles = { master: '', slave: '' };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-decode-'));
  keyFiles = { master: join(folder, 'master.key'), slave: join(folder, 'slave.key') };
  for (const role of ['master', 'slave'] as const) {
    await copyFile(vectorKeys[role], keyFiles[role]);
    await chmod(keyFiles[role], 0o600);
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Reads the capture from standard input, in chunks of any size. */
async function decode(capture: Uint8Array, flags: readonly string[] = [], chunkBytes = 65_536): Promise<Ran> {
  const lines: string[] = [];
  let err = '';
  const shell: Shell = {
    out: (text) => void lines.push(text),
    err: (text) => {
      err += text;
    },
    isInteractive: false,
    fetch,
    input: (async function* () {
      for (let at = 0; at < capture.length; at += chunkBytes) yield capture.subarray(at, at + chunkBytes);
    })(),
    exitCode: 0,
  };
  await runProgram(shell, ['decode', '-', ...flags]);
  return { exitCode: shell.exitCode, lines, err };
}

interface PacketLine {
  readonly time: string;
  readonly messages: readonly { readonly kind: string; readonly signature?: string; readonly whole?: object }[];
}

function parsed(ran: Ran): readonly PacketLine[] {
  return ran.lines.map((line) => JSON.parse(line) as PacketLine);
}

const plain = goldenVectors('v1');
const keyed = goldenVectors('keyed-v1');
const datagrams = (vectors: typeof plain): readonly Buffer[] => vectors.flatMap((vector) => vector.datagrams);
const one = (name: string): Buffer => plain.find((vector) => vector.name === name)?.datagrams[0] ?? Buffer.alloc(0);
const raw = (payloads: readonly Buffer[], options: FileOptions = {}): Buffer =>
  pcapFile(
    payloads.map((payload) => ipv4Packet(payload)),
    { linkType: 101, ...options },
  );

describe('what a line says', () => {
  test('each kind of message is there, by its name', async () => {
    const ran = await decode(raw(datagrams(plain)), ['--json']);
    expect(ran.exitCode).toBe(0);
    const kinds = new Set(parsed(ran).flatMap(({ messages }) => messages.map(({ kind }) => kind)));
    expect([...kinds].sort()).toEqual([...messageKinds, 'fragment', ...Object.keys(transportOrdinals)].sort());
    const count = datagrams(plain).length;
    expect(ran.err).toBe(`${count} packets · ${count} of Lockstep · 1 large messages without all of their fragments\n`);
  });

  test('time, sender, data set, epoch, round and versions', async () => {
    const path = await decode(raw(['path-probe', 'path-answer', 'path-report'].map((name) => one(`datagram-${name}`))));
    expect(path.lines).toEqual([
      expect.stringMatching(/ {2}path-probe \d+$/) as string,
      expect.stringMatching(/ {2}path-answer \d+, the probe came by (uni|multi)cast$/) as string,
      expect.stringMatching(/ {2}path-report: (hears|doesn't hear) the group$/) as string,
    ]);
    const ran = await decode(raw(['prepare-change', 'vote-no', 'commit', 'datagram-packed', 'deltas'].map(one)));
    expect(ran.lines).toEqual([
      '2026-11-21T12:00:00.000000Z  10.0.0.1:40123 → 239.255.42.1:7401  master #1  prices e3: prepare round 3.01234567.12 v5 → v6 (change, 5 bytes), v4 is committed, activates at 2026-12-01T09:00:00.000Z',
      '2026-11-21T12:00:00.001000Z  10.0.0.1:40123 → 239.255.42.1:7401  master #1  prices e3: vote no on round 3.01234567.12 v6: cents müssen positiv sein',
      '2026-11-21T12:00:00.002000Z  10.0.0.1:40123 → 239.255.42.1:7401  master #1  prices e3: commit round 3.01234567.12 v6',
      expect.stringMatching(
        / master #1 {2}prices e3: vote yes on round 3\.01234567\.12 v6 · status \d+ .* · leave$/,
      ) as string,
      expect.stringMatching(/ prices e3: deltas for 5: v3 → v5 in 2$/) as string,
    ]);
  });

  test('rounds have the names that lockstep resolve and roll-back take', async () => {
    const ran = await decode(raw(['prepare-change', 'vote-no', 'commit', 'inquiry'].map(one)));
    const names = ran.lines.map((line) => / round (\S+)/.exec(line)?.[1] ?? '');
    expect(names).toHaveLength(4);
    for (const name of names) expect(roundArgument(name)).toEqual({ name });
  });

  test('--json has all fields but the bytes of changes', async () => {
    const [packet] = parsed(await decode(raw([one('prepare-change')]), ['--json']));
    expect(packet).toMatchObject({
      time: '2026-11-21T12:00:00.000000Z',
      from: '10.0.0.1:40123',
      to: '239.255.42.1:7401',
      node: 'master',
      sequence: 1,
      keyId: 0,
      messages: [
        {
          kind: 'prepare',
          dataSet: 'prices',
          epoch: 3,
          round: '3.01234567.12',
          from: { epoch: 3, version: 5 },
          to: { epoch: 3, version: 6 },
          content: { kind: 'change', change: { bytes: { length: 5 } } },
          signature: 'none',
        },
      ],
    });
  });

  test('the message comes with its last fragment', async () => {
    const all = parsed(await decode(raw(datagrams(keyed)), ['--json', '--keys', keyFiles.slave]));
    const wholes = all.flatMap(({ messages }) => messages.flatMap(({ whole }) => (whole === undefined ? [] : [whole])));
    expect(wholes).toEqual([expect.objectContaining({ kind: 'announce', signature: 'valid' })]);
  });
});

describe('every file that a capture may be', () => {
  const orders = [true, false].flatMap((littleEndian) =>
    [true, false].map((nanoseconds) => ({ littleEndian, nanoseconds })),
  );

  test.each(links)('$name', async ({ type, wrap }) => {
    const packets = ['commit', 'heartbeat'].map((name) => wrap(one(name)));
    const wanted = [expect.stringMatching(/ → .*: commit /) as string, expect.stringMatching(/: heartbeat /) as string];
    for (const options of orders) {
      for (const file of [pcapFile, pcapngFile]) {
        const ran = await decode(file(packets, { ...options, linkType: type }), [], 13);
        expect(ran).toMatchObject({ exitCode: 0, lines: wanted, err: '2 packets · 2 of Lockstep\n' });
        expect(ran.lines[1]).toMatch(/^2026-11-21T12:00:00\.001000Z {2}/);
      }
    }
  });

  test('IPv6 addresses are short, and in brackets', async () => {
    const link = links.find(({ name }) => name === 'raw IPv6');
    const ran = await decode(pcapFile([link?.wrap(one('commit')) ?? Buffer.alloc(0)], { linkType: 101 }));
    expect(ran.lines[0]).toContain('  [fd00::1]:40123 → [ff15::42]:7401  ');
  });

  test('what is not ours is counted', async () => {
    const tcp = ipv4Packet(one('commit'));
    tcp[9] = 6;
    const fragment = ipv4Packet(one('commit'));
    fragment[6] = 0x20;
    const packets = [ipv4Packet(Buffer.from('dns or so')), tcp, fragment, Buffer.alloc(3), ipv4Packet(one('commit'))];
    const ran = await decode(pcapFile(packets, { linkType: 101 }));
    expect(ran.lines).toHaveLength(1);
    expect(ran.err).toBe('5 packets · 1 of Lockstep · 1 foreign · passed over: 2 no UDP, 1 fragment of IP\n');
    expect((await decode(pcapFile(packets, { linkType: 147 }))).err).toBe(
      '5 packets · 0 of Lockstep · passed over: 5 unknown link\n',
    );
  });

  test('a damaged packet is refused with its reason, one that the capture cut says so', async () => {
    const damaged = Buffer.from(one('commit'));
    damaged[70] = 0xff;
    const ran = await decode(
      pcapFile([ipv4Packet(damaged), ipv4Packet(one('commit')).subarray(0, 96)], { linkType: 101 }),
    );
    expect(ran.lines).toEqual([
      expect.stringMatching(/ {2}refused: bad-checksum$/) as string,
      expect.stringMatching(/ {2}cut by the capture: \d+ of \d+ bytes are missing$/) as string,
    ]);
    expect(ran.err).toBe('2 packets · 2 of Lockstep · 1 cut by the capture · refused: 1 bad-checksum\n');
  });
});

describe('keys', () => {
  const capture = raw(datagrams(keyed));

  test('without them a packet is known by its header alone', async () => {
    const ran = await decode(capture);
    expect(ran.exitCode).toBe(0);
    for (const line of ran.lines)
      expect(line).toMatch(/ {2}(master|a|slave-\S+|\S+) #\d+ {2}encrypted with key 1, \d+ bytes$/);
    expect(ran.err).toMatch(/^(\d+) packets · \1 of Lockstep · \1 encrypted \(--keys shows them\)\n$/);
  });

  test.each(['master', 'slave'] as const)('those of a %s decrypt, and check signatures', async (role) => {
    const ran = await decode(capture, ['--json', '--keys', keyFiles[role]]);
    const signatures = parsed(ran).flatMap(({ messages }) =>
      messages.flatMap(({ kind, signature }) => (kind === 'fragment' ? [] : [`${kind} ${signature ?? ''}`])),
    );
    expect(signatures.sort()).toEqual([
      'announce valid',
      'commit valid',
      'heartbeat valid',
      'prepare valid',
      'vote none',
    ]);
  });

  test('twice the same capture is twice the same: there is no replay here', async () => {
    const twice = await decode(raw([...datagrams(keyed), ...datagrams(keyed)]), ['--keys', keyFiles.slave]);
    expect(twice.err).not.toContain('refused');
  });

  test('an altered packet, and one under another key, are refused', async () => {
    const [first = Buffer.alloc(0)] = datagrams(keyed);
    const altered = Buffer.from(first);
    altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;
    const other = Buffer.from(first);
    other[7] = 9;
    const ran = await decode(raw([altered, other]), ['--keys', keyFiles.slave]);
    expect(ran.lines.map((line) => line.split('  ').at(-1))).toEqual([
      'refused: unauthenticated',
      'refused: unknown-key',
    ]);
  });
});

describe('bad files', () => {
  test('one line says what is wrong, and what to do', async () => {
    const text = await decode(Buffer.from('time,packet\n'));
    expect(text).toEqual({
      exitCode: exitCodes.usage,
      lines: [],
      err: 'lockstep: standard input is no capture: it begins with neither the bytes of pcap nor those of pcapng; make one with tcpdump -w or dumpcap -w\n',
    });
    expect((await decode(Buffer.alloc(0))).exitCode).toBe(exitCodes.usage);
    const lines: string[] = [];
    let err = '';
    const shell: Shell = {
      out: (line) => void lines.push(line),
      err: (line) => {
        err += line;
      },
      isInteractive: false,
      fetch,
      input: (async function* () {})(),
      exitCode: 0,
    };
    await runProgram(shell, ['decode', join(folder, 'nowhere.pcap')]);
    expect({ exitCode: shell.exitCode, err }).toEqual({
      exitCode: exitCodes.usage,
      err: expect.stringMatching(/^lockstep: .*nowhere\.pcap can't be read: .*ENOENT[^\n]*\n$/) as string,
    });
  });

  test('a file, by its name', async () => {
    const path = join(folder, 'one.pcap');
    await writeFile(path, raw([one('commit')]));
    const lines: string[] = [];
    const shell: Shell = {
      out: (line) => void lines.push(line),
      err: () => undefined,
      isInteractive: false,
      fetch,
      input: (async function* () {})(),
      exitCode: 0,
    };
    await runProgram(shell, ['decode', path]);
    expect(lines).toEqual([expect.stringMatching(/: commit round 3\.01234567\.12 v6$/) as string]);
  });

  test.each([
    ['pcap', pcapFile],
    ['pcapng', pcapngFile],
  ] as const)('%s that ends anywhere: what stands before it is printed, then one line', async (_name, file) => {
    const packets = ['commit', 'heartbeat'].map((name) => ipv4Packet(one(name)));
    const whole = file(packets, { linkType: 101 });
    const first = file(packets.slice(0, 1), { linkType: 101 });
    for (let length = 4; length < whole.length; length += 1) {
      const ran = await decode(whole.subarray(0, length));
      const isWhole =
        length === first.length || (file === pcapFile && length === 24) || blockEnds(file, length, packets);
      expect(ran.exitCode, `${length} bytes`).toBe(isWhole ? 0 : exitCodes.usage);
      expect(ran.lines).toHaveLength(length >= first.length ? 1 : 0);
      if (!isWhole)
        expect(ran.err).toMatch(/\nlockstep: the capture isn't whole: it ends .*; what stands before it is printed\n$/);
    }
  });

  /** A pcapng file may end behind any block. */
  function blockEnds(file: typeof pcapFile, length: number, packets: readonly Buffer[]): boolean {
    if (file !== pcapngFile) return false;
    const whole = file(packets, { linkType: 101 });
    let at = 0;
    while (at < length) at += whole.readUInt32LE(at + 4);
    return at === length;
  }

  test('damage of any kind ends in lines, never in a throw', async () => {
    const sources = [
      raw(datagrams(plain)),
      pcapngFile(
        datagrams(plain).map((payload) => ipv4Packet(payload)),
        { linkType: 101 },
      ),
      ...links.map(({ type, wrap }) =>
        pcapngFile([wrap(one('prepare-change')), wrap(one('status'))], { linkType: type }),
      ),
      raw(datagrams(keyed)),
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.nat(sources.length - 1),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 12 }),
        fc.option(fc.nat(), { freq: 3 }),
        fc.boolean(),
        async (which, edits, cut, json) => {
          const source = sources[which] ?? Buffer.alloc(0);
          const damaged = Buffer.from(cut === null ? source : source.subarray(0, cut % source.length));
          // Half of the damage into the first bytes: lengths, links and times stand there.
          for (const [index, [position, value]] of edits.entries())
            if (damaged.length > 0)
              damaged[position % (index % 2 === 0 ? Math.min(96, damaged.length) : damaged.length)] = value;
          const ran = await decode(damaged, [...(json ? ['--json'] : []), '--keys', keyFiles.slave]);
          expect([exitCodes.ok, exitCodes.usage]).toContain(ran.exitCode);
          expect(ran.err).not.toContain('this is a bug');
        },
      ),
      { numRuns: 1500 },
    );
  }, 60_000);
});
