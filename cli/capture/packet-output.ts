import { roundKey, type Epoch, type RoundId, type Tip } from '../../shared/protocol/kernel/ids.js';
import type { Message } from '../../shared/protocol/wire/messages.js';
import type { PathMessage } from '../../shared/protocol/wire/transport.js';
import { timeText, type CaptureTime } from './captured.js';
import type { Decoded, DecodedPart, Signature } from './decoder.js';
import { messageText } from './message-text.js';
import type { CapturedDatagram } from './udp.js';

/** One packet of a group, as it came. */
export interface SeenPacket {
  readonly time: CaptureTime | null;
  readonly datagram: CapturedDatagram;
  readonly decoded: Exclude<Decoded, { readonly kind: 'foreign' }>;
}

/** One line for people. */
export function packetText({ time, datagram, decoded }: SeenPacket): string {
  return `${timeText(time)}  ${datagram.from} → ${datagram.to}  ${decodedText(datagram, decoded)}`;
}

function decodedText(datagram: CapturedDatagram, decoded: SeenPacket['decoded']): string {
  switch (decoded.kind) {
    case 'refused':
      return `refused: ${decoded.reason}`;
    case 'cut':
      return `cut by the capture: ${decoded.missingBytes} of ${datagram.payload.length + decoded.missingBytes} bytes are missing`;
    case 'encrypted':
      return `${decoded.sender.node} #${decoded.sequence}  encrypted with key ${decoded.keyId}, ${datagram.payload.length} bytes`;
    case 'messages':
      return `${decoded.sender.node} #${decoded.sequence}  ${partsText(decoded.parts)}`;
  }
}

/** Data set and epoch stand once before all that they hold for. */
function partsText(parts: readonly DecodedPart[]): string {
  let before = '';
  return parts
    .map((part) => {
      const about = part.kind === 'message' ? aboutOf(part) : part.kind === 'fragment' ? aboutOf(part.fragment) : '';
      const text = `${about === before || about === '' ? '' : `${about}: `}${partText(part)}`;
      if (about !== '') before = about;
      return text;
    })
    .join(' · ');
}

function aboutOf({ dataSet, epoch }: { readonly dataSet: string; readonly epoch: Epoch }): string {
  return `${dataSet} e${epoch.number}`;
}

function partText(part: DecodedPart): string {
  switch (part.kind) {
    case 'message':
      return `${messageText(part.message, part.epoch)}${signatureText(part.signature)}`;
    case 'fragment': {
      const { messageKind, messageId, index, count, totalBytes, epoch } = part.fragment;
      const piece = `fragment ${index + 1}/${count} of ${messageKind} ${messageId} (${totalBytes} bytes)`;
      if (part.whole === null) return piece;
      return part.whole === 'bad-body'
        ? `${piece}, whole: refused: bad-body`
        : `${piece}, whole: ${messageText(part.whole.message, epoch)}${signatureText(part.whole.signature)}`;
    }
    case 'fragment-request': {
      const { messageId, ranges } = part.request;
      const wanted = ranges.map(({ first, count }) => (count === 1 ? `${first + 1}` : `${first + 1}–${first + count}`));
      return `fragment-request for message ${messageId}: ${wanted.join(' ')}`;
    }
    case 'path':
      return pathText(part.message);
  }
}

function pathText(message: PathMessage): string {
  switch (message.kind) {
    case 'path-probe':
      return `path-probe ${message.number}`;
    case 'path-answer':
      return `path-answer ${message.number}, the probe came by ${message.byGroup ? 'multicast' : 'unicast'}`;
    case 'path-mark':
      return 'path-mark';
    case 'path-report':
      return `path-report: ${message.hears ? 'hears the group' : "doesn't hear the group"}`;
  }
}

function signatureText(signature: Signature): string {
  if (signature === 'invalid') return ' [signature is wrong]';
  return signature === 'missing' ? ' [not signed]' : '';
}

/** One object for programs: everything that was said, but for the bytes of changes. */
export function packetJson({ time, datagram, decoded }: SeenPacket): object {
  const { from, to, payload } = datagram;
  const common = {
    time: time === null ? null : timeText(time),
    from,
    to,
    bytes: payload.length,
  };
  if (decoded.kind === 'refused') return { ...common, refused: decoded.reason };
  if (decoded.kind === 'cut') return { ...common, missingBytes: decoded.missingBytes };
  const { sender, sequence, keyId } = decoded;
  const { storeId, start } = sender.incarnation;
  const head = { ...common, node: sender.node, storeId, start, sequence, keyId };
  if (decoded.kind === 'encrypted') return { ...head, encrypted: true };
  return { ...head, messages: decoded.parts.map(partJson) };
}

function partJson(part: DecodedPart): object {
  switch (part.kind) {
    case 'message': {
      const { dataSet, epoch, message, signature } = part;
      return { kind: message.kind, dataSet, epoch: epoch.number, ...messageFields(message, epoch), signature };
    }
    case 'fragment': {
      const { dataSet, epoch, messageKind, messageId, index, count, totalBytes } = part.fragment;
      const piece = {
        kind: 'fragment',
        dataSet,
        epoch: epoch.number,
        of: messageKind,
        messageId,
        index,
        count,
        totalBytes,
      };
      if (part.whole === null) return piece;
      if (part.whole === 'bad-body') return { ...piece, whole: { refused: 'bad-body' } };
      const { message, signature } = part.whole;
      return { ...piece, whole: { ...messageFields(message, epoch), signature } };
    }
    case 'fragment-request':
      return { kind: 'fragment-request', ...plainFields(part.request) };
    case 'path':
      return plainFields(part.message);
  }
}

/** A prepare says the number of its round alone, since it is of its own epoch: it gets the round's whole name, as others have. */
function messageFields(message: Message, epoch: Epoch): object {
  const named = message.kind === 'prepare' ? { round: roundKey({ epoch, number: message.round }) } : {};
  return { ...plainFields(message), ...named };
}

function plainFields(fields: object): object {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value)]));
}

/** Tips, rounds and epochs as everywhere in HTTP; bytes by their beginning and their length. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array)
    return { hex: Buffer.from(value.subarray(0, 512)).toString('hex'), length: value.length };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  if (isTip(value)) return { epoch: value.epoch.number, version: value.version, chainId: value.chain };
  if (isRound(value)) return roundKey(value);
  if ('claimant' in value && 'number' in value) return value.number;
  return plainFields(value);
}

function isTip(value: object): value is Tip {
  return 'chain' in value && 'version' in value && 'epoch' in value;
}

function isRound(value: object): value is RoundId {
  return 'epoch' in value && 'number' in value;
}
