import { Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';
import type { MessageKind } from '../../../../../shared/protocol/wire/messages.js';
import { contentsOf, matches } from '../packets.js';
import type { PacketMatch } from '../scenario.js';
import type { Answer, Order, OrderEnvelope } from './orders.js';
import { nodeNameVariable } from './orders.js';

/**
 * Preloaded into the real `lockstep` processes of a scenario (`node --import`): loses, holds and counts UDP datagrams
 * below the product, which runs as it is and has no switch for any of this. Datagrams are dropped where they arrive, as
 * a network would; a process crashes in place of sending a datagram.
 */
interface Interception {
  readonly what: 'drop' | 'hold';
  readonly match: PacketMatch;
  readonly held: (() => void)[];
}

/** Datagrams kept for later; more are lost. */
const maxHeld = 1000;

const self = process.env[nodeNameVariable] ?? '';
const interceptions = new Map<string, Interception>();
const sent = new Map<MessageKind, number>();
let crashBefore: MessageKind | null = null;

function isIntercepted(bytes: Uint8Array, deliver: () => void): boolean {
  for (const { what, match, held } of interceptions.values()) {
    if (!matches(match, { bytes, to: self }, Math.random)) continue;
    if (what === 'hold' && held.length < maxHeld) held.push(deliver);
    return true;
  }
  return false;
}

function obey(order: Order): void {
  switch (order.kind) {
    case 'intercept':
      interceptions.set(order.name, { what: order.what, match: order.match, held: [] });
      return;
    case 'release': {
      const held = interceptions.get(order.name)?.held ?? [];
      interceptions.delete(order.name);
      for (const deliver of held) deliver();
      return;
    }
    case 'heal':
      interceptions.clear();
      return;
    case 'crash before':
      crashBefore = order.message;
      return;
    case 'count':
      return;
  }
}

function tapSockets(): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its socket below
  const send = Socket.prototype.send as (...parameters: unknown[]) => void;
  Socket.prototype.send = function tapped(this: Socket, ...parameters: unknown[]): void {
    const [bytes] = parameters;
    const begun = bytes instanceof Uint8Array ? (contentsOf(bytes)?.begun ?? []) : [];
    if (crashBefore !== null && begun.includes(crashBefore)) process.kill(process.pid, 'SIGKILL');
    for (const kind of begun) sent.set(kind, (sent.get(kind) ?? 0) + 1);
    send.apply(this, parameters);
  } as typeof Socket.prototype.send;
  Socket.prototype.emit = function tapped(this: Socket, event: string | symbol, ...parameters: unknown[]): boolean {
    const deliver = (): boolean => EventEmitter.prototype.emit.call(this, event, ...parameters);
    const [bytes] = parameters;
    if (event === 'message' && bytes instanceof Uint8Array && isIntercepted(bytes, deliver)) return true;
    return deliver();
  } as typeof Socket.prototype.emit;
}

tapSockets();
process.on('message', ({ id, order }: OrderEnvelope) => {
  obey(order);
  const answer: Answer = { id, sent: Object.fromEntries(sent) };
  process.send?.(answer);
});
// Nobody is left to end this node: it goes with its player.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// The player's line must not keep a node alive that wants to end.
process.channel?.unref();
