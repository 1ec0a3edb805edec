import { deepStrictEqual, ok } from 'node:assert';
import { decodeDatagram } from '../../shared/protocol/wire/datagram.js';
import { sealDatagram } from '../../shared/protocol/wire/header.js';
import type { Message } from '../../shared/protocol/wire/messages.js';
import { messageOrdinals, transportOrdinals } from '../../shared/protocol/wire/registry.js';
import { versionOf, type Tip } from '../../shared/protocol/kernel/ids.js';
import { seededRandom } from '../../shared/protocol/kernel/random.js';
import { goldenVectors, ipv4Packet, links, pcapFile, pcapngFile } from '../../tests/support/capture-files.js';

/** Runs tshark with the dissector on a capture. */
export type Tshark = (
  capture: Buffer,
  parameters: readonly string[],
) => Promise<{ readonly out: string; readonly err: string }>;

type Case = readonly [title: string, run: (tshark: Tshark) => Promise<void>];

export async function runCases(tshark: Tshark): Promise<{ readonly passed: number; readonly failed: number }> {
  let failed = 0;
  for (const [title, run] of cases) {
    const problem = await run(tshark).then(
      () => null,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (problem !== null) failed += 1;
    console.log(problem === null ? `ok    ${title}` : `FAIL  ${title}\n      ${problem.replaceAll('\n', '\n      ')}`);
  }
  return { passed: cases.length - failed, failed };
}

const vectors = goldenVectors('v1');
const plain = vectors.flatMap(({ datagrams }) => datagrams);
const keyed = goldenVectors('keyed-v1').flatMap(({ datagrams }) => datagrams);
const rawIp = 101;
const refusedField = 'lockstep.refused';
const kindField = 'lockstep.kind';

function rawCapture(payloads: readonly Buffer[]): Buffer {
  return pcapFile(
    payloads.map((payload) => ipv4Packet(payload)),
    { linkType: rawIp },
  );
}

/** One row for each packet, one cell for each field; several values of a field are separated by commas. */
async function fieldsOf(tshark: Tshark, capture: Buffer, names: readonly string[]): Promise<string[][]> {
  const chosen = ['_ws.expert.message', ...names].flatMap((name) => ['-e', name]);
  const { out, err } = await tshark(capture, ['-T', 'fields', ...chosen]);
  noLuaErrors(out, err);
  return out
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t').slice(1));
}

function noLuaErrors(...outputs: readonly string[]): void {
  for (const output of outputs) {
    const lines = output.split('\n').filter((line) => /lua.*error|error.*lua|stack traceback/i.test(line));
    deepStrictEqual(lines.slice(0, 5), [], 'Lua raised errors');
  }
}

/** What the dissector must show of a message, by the field's name: every value, in order. */
function expected(message: Message, epoch: number): Record<string, string> {
  const of = (tip: Tip | null): string => (tip === null ? '' : String(versionOf(tip)));
  const shown: Record<string, string> = { 'lockstep.epoch': String(epoch) };
  switch (message.kind) {
    case 'prepare':
      shown['lockstep.round'] = String(message.round);
      shown['lockstep.activate_at'] = message.activateAtMs === null ? '' : String(message.activateAtMs);
      shown['lockstep.committed_version'] =
        message.committed?.version === message.from?.version ? '' : of(message.committed);
      break;
    case 'vote':
      shown['lockstep.round'] = String(message.round.number);
      shown['lockstep.to_version'] = of(message.to);
      shown['lockstep.can_process'] = message.canProcess ? '1' : '0';
      shown['lockstep.reason'] = message.reason;
      shown['lockstep.refused_operation'] = message.refused.join(',');
      break;
    case 'commit':
    case 'abort':
    case 'resolution':
      shown['lockstep.round'] = String(message.round.number);
      shown['lockstep.to_version'] = of(message.to);
      break;
    case 'arming':
      shown['lockstep.round'] = String(message.round.number);
      shown['lockstep.to_version'] = of(message.to);
      shown['lockstep.activate_at'] = String(message.activateAtMs);
      shown['lockstep.arming_order'] = String(message.order);
      shown['lockstep.armed'] = message.armed ? '1' : '0';
      break;
    case 'heartbeat':
      shown['lockstep.tip_version'] = of(message.tip);
      shown['lockstep.lowest_open_round'] = String(message.lowestOpenRound);
      shown['lockstep.sent'] = String(message.sentMs);
      shown['lockstep.heartbeat'] = message.acknowledged.map(({ heartbeat }) => heartbeat).join(',');
      shown['lockstep.acknowledged'] = message.acknowledged
        .map(({ slots }) => Buffer.from(slots).toString('hex'))
        .filter((hex) => hex !== '')
        .join(',');
      shown['lockstep.asks'] = message.asks ? '1' : '0';
      shown['lockstep.decision'] = message.recentDecisions.map(({ outcome }) => outcome).join(',');
      break;
    case 'status':
      shown['lockstep.state'] = message.state;
      shown['lockstep.tip_version'] = of(message.tip);
      shown['lockstep.window'] = String(message.windowBytes);
      break;
    case 'welcome':
      shown['lockstep.slot'] = String(message.slot);
      shown['lockstep.lease'] = String(message.leaseMs);
      shown['lockstep.member_start'] = String(message.member.start);
      shown['lockstep.heartbeat'] = String(message.heartbeat);
      break;
    case 'refusal':
      shown['lockstep.refusal_reason'] = message.reason;
      shown['lockstep.text'] = message.text;
      break;
    case 'bulk-offer':
      shown['lockstep.bulk_mode'] = message.mode;
      shown['lockstep.port'] = String(message.port);
      shown['lockstep.token'] = message.token;
      break;
    case 'deltas':
      shown['lockstep.request'] = String(message.request);
      shown['lockstep.to_version'] = message.steps.map(({ to }) => of(to)).join(',');
      break;
    case 'too-old':
      shown['lockstep.from_version'] = of(message.from);
      shown['lockstep.on_chain'] = message.onChain ? '1' : '0';
      break;
    case 'promise':
      shown['lockstep.granted'] = message.granted ? '1' : '0';
      shown['lockstep.promised_epoch'] = String(message.promised.number);
      break;
    case 'report':
      shown['lockstep.role'] = message.role;
      shown['lockstep.hears'] = message.hears?.node ?? '';
      break;
    case 'join':
    case 'claim':
      shown['lockstep.tip_version'] = of(message.tip);
      break;
    case 'announce':
      shown['lockstep.content_kind'] = message.content.kind;
      break;
    case 'delta-request':
    case 'snapshot-request':
      shown['lockstep.request'] = String(message.request);
      break;
    case 'inquiry':
      shown['lockstep.from_version'] = of(message.from);
      break;
    case 'clock-request':
      shown['lockstep.request_sent'] = String(message.sentMs);
      break;
    case 'clock':
      shown['lockstep.request_sent'] = String(message.requestSentMs);
      shown['lockstep.received'] = String(message.receivedMs);
      shown['lockstep.group_sent'] = String(message.sentMs);
      shown['lockstep.member_start'] = String(message.member.start);
      shown['lockstep.era'] = String(message.era);
      break;
    case 'survey':
    case 'leave':
      break;
  }
  return shown;
}

/** The kinds in a datagram as a node reads it, by their numbers; null when it refuses it. */
function kindsOf(datagram: Buffer): string | null {
  const decoded = decodeDatagram(datagram);
  if (!decoded.ok) return null;
  return decoded.frames
    .map((frame) => {
      if (frame.kind === 'fragment-request') return transportOrdinals[frame.kind];
      if (frame.kind === 'path') return transportOrdinals[frame.message.kind];
      return messageOrdinals[frame.kind === 'fragment' ? frame.messageKind : frame.message.kind];
    })
    .join(',');
}

/** Damage that keeps the checksum right: what is behind it has to hold for itself. */
function damaged(count: number, seed: number): Buffer[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const vector = plain[random.below(plain.length)] ?? Buffer.alloc(0);
    const kept = random.below(4) === 0 ? 58 + random.below(vector.length - 58) : vector.length;
    const bytes = Buffer.from(vector.subarray(0, kept));
    const edits = 1 + random.below(5);
    for (let edit = 0; edit < edits; edit += 1) bytes[56 + random.below(bytes.length - 56)] = random.below(256);
    sealDatagram(bytes, 1);
    return bytes;
  });
}

const cases: readonly Case[] = [
  [
    'every kind of message is decoded, with its fields',
    async (tshark) => {
      const names = new Set<string>([kindField, refusedField, 'lockstep.node', 'lockstep.data_set']);
      const wanted = plain.map((datagram) => {
        const decoded = decodeDatagram(datagram);
        ok(decoded.ok);
        const [frame, second] = decoded.frames;
        // In a packed datagram, the fields of all its messages stand in one cell.
        const fields =
          frame?.kind === 'message' && second === undefined ? expected(frame.message, frame.epoch.number) : {};
        for (const name of Object.keys(fields)) names.add(name);
        return { fields, kinds: kindsOf(datagram), node: decoded.sender.node };
      });
      const order = [...names];
      const rows = await fieldsOf(tshark, rawCapture(plain), order);
      deepStrictEqual(rows.length, plain.length);
      const kinds = new Set<string>();
      for (const [index, row] of rows.entries()) {
        const cell = (name: string): string | undefined => row[order.indexOf(name)];
        const { fields, kinds: numbers, node } = wanted[index] ?? { fields: {}, kinds: null, node: '' };
        deepStrictEqual([cell(kindField), cell(refusedField), cell('lockstep.node')], [numbers, '', node]);
        for (const [name, value] of Object.entries(fields))
          ok(cell(name) === value, `packet ${index + 1}: ${name} is ${cell(name) ?? ''}, not ${value}`);
        for (const kind of (numbers ?? '').split(',')) kinds.add(kind);
      }
      const all = [...Object.values(messageOrdinals), ...Object.values(transportOrdinals)].map(String);
      deepStrictEqual([...kinds].sort(), all.sort(), 'there is a packet of each kind');
    },
  ],
  [
    'rounds have the names that lockstep resolve takes',
    async (tshark) => {
      const names = ['prepare-change', 'vote-no', 'commit', 'inquiry'];
      const told = vectors.filter(({ name }) => names.includes(name)).flatMap(({ datagrams }) => datagrams);
      deepStrictEqual(told.length, names.length);
      const { out, err } = await tshark(rawCapture(told), []);
      noLuaErrors(out, err);
      const lines = out.split('\n').slice(0, -1);
      deepStrictEqual(lines.length, names.length);
      for (const line of lines) ok(line.includes(' 3.01234567.12 '), line);
    },
  ],
  [
    'every link carries it',
    async (tshark) => {
      // Both file formats are tshark's own business: one of pcapng will do.
      for (const [index, { name, type, wrap }] of links.entries()) {
        const file = index === 0 ? pcapngFile : pcapFile;
        const rows = await fieldsOf(tshark, file([wrap(plain[0] ?? Buffer.alloc(0))], { linkType: type }), [kindField]);
        deepStrictEqual(rows, [[String(messageOrdinals.abort)]], name);
      }
    },
  ],
  [
    'encrypted packets are shown as such, by their header alone',
    async (tshark) => {
      const names = ['lockstep.encrypted', 'lockstep.key_id', 'lockstep.node', 'lockstep.mark_started', kindField];
      const rows = await fieldsOf(tshark, rawCapture(keyed), names);
      deepStrictEqual(rows.length, keyed.length);
      for (const [encrypted, keyId, node, started, kind] of rows) {
        deepStrictEqual([encrypted, keyId, started, kind], ['1', '1', '1700000000000', '']);
        ok(node === 'master' || node === 's1', node);
      }
    },
  ],
  [
    'a datagram that ends anywhere is refused, and no Lua error is raised',
    async (tshark) => {
      const cut = plain.flatMap((datagram) =>
        Array.from({ length: datagram.length - 5 }, (_, index) => datagram.subarray(0, index + 4)),
      );
      const rows = await fieldsOf(tshark, rawCapture(cut), [refusedField]);
      deepStrictEqual(rows.length, cut.length);
      for (const [index, [refused]] of rows.entries())
        ok(refused !== '', `${cut[index]?.length ?? 0} bytes were not refused`);
    },
  ],
  [
    'a packet that the capture cut is said to be cut',
    async (tshark) => {
      const packets = plain.map((datagram) => ipv4Packet(datagram));
      const capture = pcapFile(packets, { linkType: rawIp });
      for (const kept of [33, 60, 90, 128]) {
        const pieces: Buffer[] = [capture.subarray(0, 24)];
        let at = 24;
        for (const packet of packets) {
          const head = Buffer.from(capture.subarray(at, at + 16));
          head.writeUInt32LE(Math.min(kept, packet.length), 8);
          pieces.push(head, packet.subarray(0, kept));
          at += 16 + packet.length;
        }
        const { out, err } = await tshark(Buffer.concat(pieces), ['-T', 'fields', '-e', '_ws.expert.message']);
        noLuaErrors(out, err);
        const cut = out.split('\n').filter((line) => line.includes("The capture doesn't hold the whole packet"));
        deepStrictEqual(cut.length, packets.filter((packet) => packet.length > kept).length);
      }
    },
  ],
  [
    'damage under a right checksum: no Lua error, and what a node takes is never refused',
    async (tshark) => {
      const datagrams = damaged(20_000, 5);
      const rows = await fieldsOf(tshark, rawCapture(datagrams), [kindField, refusedField]);
      deepStrictEqual(rows.length, datagrams.length);
      let taken = 0;
      let refusals = 0;
      for (const [index, [kinds, refused]] of rows.entries()) {
        if (refused !== '') refusals += 1;
        const bytes = datagrams[index] ?? Buffer.alloc(0);
        const real = kindsOf(bytes);
        if (real === null) continue;
        taken += 1;
        deepStrictEqual([kinds, refused], [real, ''], `a node takes ${bytes.toString('hex')}`);
      }
      ok(taken > 1000 && refusals > 1000, `${taken} taken, ${refusals} refused: the damage is too much or too little`);
    },
  ],
  [
    'noise behind the magic, and a wrong checksum',
    async (tshark) => {
      const random = seededRandom(7);
      const noise = Array.from({ length: 4000 }, () => {
        const bytes = Buffer.from(Array.from({ length: 4 + random.below(200) }, () => random.below(256)));
        bytes.write('LKST');
        if (bytes.length > 8 && random.below(2) === 0) Buffer.from([1, 0, 0, 0]).copy(bytes, 4);
        return bytes;
      });
      const altered = plain.map((datagram) => {
        const bytes = Buffer.from(datagram);
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        return bytes;
      });
      const rows = await fieldsOf(tshark, rawCapture([...altered, ...noise]), [refusedField]);
      for (const [refused] of rows.slice(0, altered.length))
        ok((refused ?? '').split(',').includes('bad-checksum'), `a wrong checksum is told as ${refused ?? ''}`);
    },
  ],
  [
    'what is not ours is left to others',
    async (tshark) => {
      const foreign = [Buffer.from('LKS'), Buffer.from('TSKL and more'), Buffer.alloc(0), Buffer.alloc(100)];
      const { out, err } = await tshark(rawCapture(foreign), ['-T', 'fields', '-e', 'frame.protocols']);
      noLuaErrors(out, err);
      deepStrictEqual(out.trim().split('\n').length, foreign.length);
      ok(!out.includes('lockstep'), out);
    },
  ],
];
