import { createReadStream } from 'node:fs';
import type { Command } from 'commander';
import { errorText, exitCodes, LockstepError, type ExitCode } from '../shared/protocol/kernel/errors.js';
import { groupKeys, type GroupKeys } from '../shared/protocol/secure/keys.js';
import type { RejectReason } from '../shared/protocol/wire/reject.js';
import { readKeys } from '../shared/runtime/key-files.js';
import { CaptureDecoder } from './capture/decoder.js';
import { packetJson, packetText } from './capture/packet-output.js';
import { readCapture } from './capture/read-capture.js';
import { datagramOf, type OtherReason } from './capture/udp.js';
import { ending } from './common.js';
import type { Shell } from './shell.js';

interface DecodeFlags {
  readonly keys?: string;
  readonly json?: true;
}

export function addDecode(program: Command, shell: Shell): void {
  program
    .command('decode')
    .description('print the packets of a capture (pcap or pcapng, from tcpdump or Wireshark), one line each')
    .argument('<file>', 'the capture; - reads standard input')
    .option('--keys <file>', "the group's keys, a master's or a slave's: decrypts, and checks signatures")
    .option('--json', 'print JSON, one line for each packet')
    .action(
      ending(shell, async (file: string, flags: DecodeFlags) => {
        const keys = flags.keys === undefined ? null : await keysOf(flags.keys);
        return decodeCapture(shell, { file, keys, json: flags.json === true });
      }),
    );
}

async function keysOf(file: string): Promise<GroupKeys> {
  const { keys, where } = await readKeys({ file });
  // Whoever decodes is no node: either file does.
  return groupKeys(keys, keys.role, where);
}

interface Tally {
  packets: number;
  shown: number;
  encrypted: number;
  cut: number;
  /** UDP of another protocol. */
  foreign: number;
  readonly refused: Map<RejectReason, number>;
  readonly others: Map<OtherReason, number>;
}

async function decodeCapture(
  shell: Shell,
  { file, keys, json }: { readonly file: string; readonly keys: GroupKeys | null; readonly json: boolean },
): Promise<ExitCode> {
  const decoder = new CaptureDecoder(keys);
  const tally: Tally = {
    packets: 0,
    shown: 0,
    encrypted: 0,
    cut: 0,
    foreign: 0,
    refused: new Map(),
    others: new Map(),
  };
  let cut: string | null = null;
  for await (const item of readCapture(chunksOf(shell, file), file === '-' ? 'standard input' : file)) {
    if (item.kind === 'cut') {
      cut = item.text;
      break;
    }
    tally.packets += 1;
    const datagram = datagramOf(item);
    if (datagram.kind === 'other') {
      countOne(tally.others, datagram.reason);
      continue;
    }
    const decoded = decoder.decode(datagram.payload, datagram.missingBytes);
    if (decoded.kind === 'foreign') {
      tally.foreign += 1;
      continue;
    }
    tally.shown += 1;
    if (decoded.kind === 'refused') countOne(tally.refused, decoded.reason);
    if (decoded.kind === 'encrypted') tally.encrypted += 1;
    if (decoded.kind === 'cut') tally.cut += 1;
    const seen = { time: item.time, datagram, decoded };
    shell.out(json ? JSON.stringify(packetJson(seen)) : packetText(seen));
  }
  shell.err(`${summary(tally, decoder.incomplete)}\n`);
  if (cut === null) return exitCodes.ok;
  shell.err(`lockstep: the capture isn't whole: ${cut}; what stands before it is printed\n`);
  return exitCodes.usage;
}

/** What can't be read is the user's to mend: one line, whatever the system calls it. */
async function* chunksOf(shell: Shell, file: string): AsyncGenerator<Uint8Array> {
  if (file === '-') {
    yield* shell.input;
    return;
  }
  try {
    yield* createReadStream(file) as AsyncIterable<Buffer>;
  } catch (error) {
    throw new LockstepError('bad-input', `${file} can't be read: ${errorText(error)}`, { cause: error });
  }
}

function countOne<Reason>(counts: Map<Reason, number>, reason: Reason): void {
  counts.set(reason, (counts.get(reason) ?? 0) + 1);
}

function summary(tally: Tally, incomplete: number): string {
  const { packets, shown, encrypted, cut, foreign, refused, others } = tally;
  const list = (counts: ReadonlyMap<string, number>): string[] =>
    [...counts].map(([reason, count]) => `${count} ${reason}`);
  const parts = [
    `${packets} packets`,
    `${shown} of Lockstep`,
    ...(encrypted > 0 ? [`${encrypted} encrypted (--keys shows them)`] : []),
    ...(cut > 0 ? [`${cut} cut by the capture`] : []),
    ...(refused.size > 0 ? [`refused: ${list(refused).join(', ')}`] : []),
    ...(incomplete > 0 ? [`${incomplete} large messages without all of their fragments`] : []),
    ...(foreign > 0 ? [`${foreign} foreign`] : []),
    ...(others.size > 0 ? [`passed over: ${list(others).join(', ')}`] : []),
  ];
  return parts.join(' · ');
}
