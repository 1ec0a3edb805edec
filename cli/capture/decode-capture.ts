import { createReadStream } from 'node:fs';
import { errorText, exitCodes, LockstepError, type ExitCode } from '../../shared/protocol/kernel/errors.js';
import { groupKeys, type GroupKeys } from '../../shared/protocol/secure/keys.js';
import type { RejectReason } from '../../shared/protocol/wire/reject.js';
import { readKeys } from '../../shared/runtime/key-files.js';
import type { Shell } from '../shell.js';
import { CaptureDecoder } from './decoder.js';
import { packetJson, packetText } from './packet-output.js';
import { readCapture } from './read-capture.js';
import { datagramOf, type OtherReason } from './udp.js';

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

export interface Decoding {
  /** `-`: standard input. */
  readonly file: string;
  readonly keyFile: string | null;
  readonly json: boolean;
}

/** What `lockstep decode` does: loaded for it alone, since it brings most of the wire protocol with it. */
export async function decodeCapture(shell: Shell, { file, keyFile, json }: Decoding): Promise<ExitCode> {
  const decoder = new CaptureDecoder(keyFile === null ? null : await keysOf(keyFile));
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

async function keysOf(file: string): Promise<GroupKeys> {
  const { keys, where } = await readKeys({ file });
  // Whoever decodes is no node: either file does.
  return groupKeys(keys, keys.role, where);
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
