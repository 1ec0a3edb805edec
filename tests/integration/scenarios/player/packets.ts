import { decodeDatagram } from '../../../../shared/protocol/wire/datagram.js';
import type { MessageKind } from '../../../../shared/protocol/wire/messages.js';
import type { PacketMatch } from './scenario.js';

/**
 * Which messages a datagram carries, and from whom. A large message is counted with its first fragment, and every
 * fragment is of its kind.
 */
export function contentsOf(
  bytes: Uint8Array,
): { readonly from: string; readonly kinds: readonly MessageKind[]; readonly begun: readonly MessageKind[] } | null {
  const decoded = decodeDatagram(bytes);
  if (!decoded.ok) return null;
  const kinds: MessageKind[] = [];
  const begun: MessageKind[] = [];
  for (const frame of decoded.frames) {
    if (frame.kind === 'fragment-request' || frame.kind === 'path') continue;
    const kind = frame.kind === 'message' ? frame.message.kind : frame.messageKind;
    kinds.push(kind);
    if (frame.kind === 'message' || frame.index === 0) begun.push(kind);
  }
  return { from: decoded.sender.node, kinds, begun };
}

/** A datagram is lost whole: also what else it carries, as on a real network. `draw` is uniform in [0, 1). */
export function matches(
  match: PacketMatch,
  packet: { readonly bytes: Uint8Array; readonly to: string },
  draw: () => number,
): boolean {
  if (match.to !== null && !match.to.includes(packet.to)) return false;
  const contents = contentsOf(packet.bytes);
  if (contents === null) return false;
  const { from, kinds } = contents;
  const { except } = match;
  if (match.from !== null && !match.from.includes(from)) return false;
  if (match.kinds !== null && !kinds.some((kind) => match.kinds?.includes(kind))) return false;
  if (except !== null && kinds.length > 0 && kinds.every((kind) => except.includes(kind))) return false;
  return match.percent === 100 || draw() * 100 < match.percent;
}
