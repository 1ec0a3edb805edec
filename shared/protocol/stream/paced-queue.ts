import { fragmentBytes } from '../wire/datagram.js';
import type { EncodedMessage } from './packer.js';
import type { SentMessage } from './resend-buffer.js';
import type { Address } from './types.js';

/** What waits for its pace: a message's fragments (all, or those asked for), or a small message kept in order. */
interface Item {
  readonly to: 'group' | Address;
  readonly message: EncodedMessage;
  /** Null for a small message. */
  readonly sent: SentMessage | null;
  /** Null: all fragments, for the first time. */
  readonly indexes: readonly number[] | null;
  /** Order is kept among first sendings of one destination and data set. */
  readonly orderKey: string | null;
  next: number;
}

export interface PacedFragment {
  readonly to: 'group' | Address;
  readonly message: EncodedMessage;
  readonly sent: SentMessage | null;
  readonly index: number;
  readonly again: boolean;
}

/** Of four turns the group gets three, while both have something to send: catch-up neither starves nor holds up rounds. */
const turns = 4;

export class PacedQueue {
  readonly #group: Item[] = [];
  readonly #unicast: Item[] = [];
  readonly #order = new Map<string, number>();
  #bytes = 0;
  #turn = 0;

  /** Bytes of body that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#group.length === 0 && this.#unicast.length === 0;
  }

  /** True while something earlier for the same destination and data set waits here. */
  holds(orderKey: string): boolean {
    return this.#order.has(orderKey);
  }

  add(to: 'group' | Address, message: EncodedMessage, sent: SentMessage | null, orderKey: string): void {
    this.#order.set(orderKey, (this.#order.get(orderKey) ?? 0) + 1);
    this.#push({ to, message, sent, indexes: null, orderKey, next: 0 });
  }

  addRepair(to: 'group' | Address, sent: SentMessage, indexes: readonly number[]): void {
    this.#push({ to, message: sent.message, sent, indexes, orderKey: null, next: 0 });
  }

  /** The fragment whose turn it is, left in place. */
  peek(): PacedFragment | null {
    const item = this.#line()[0];
    if (item === undefined) return null;
    const index = item.indexes === null ? item.next : (item.indexes[item.next] ?? 0);
    return { to: item.to, message: item.message, sent: item.sent, index, again: item.indexes !== null };
  }

  /** Takes what `peek` showed. */
  shift(): void {
    const line = this.#line();
    const item = line[0];
    if (item === undefined) return;
    const size = fragmentBytes(item.message.body.length, item.message.fragmentCount);
    item.next += 1;
    this.#bytes -= size;
    this.#turn = (this.#turn + 1) % turns;
    if (item.next < partsOf(item)) return;
    line.shift();
    if (item.orderKey === null) return;
    const left = (this.#order.get(item.orderKey) ?? 1) - 1;
    if (left === 0) this.#order.delete(item.orderKey);
    else this.#order.set(item.orderKey, left);
  }

  #push(item: Item): void {
    this.#bytes += fragmentBytes(item.message.body.length, item.message.fragmentCount) * partsOf(item);
    if (item.to === 'group') this.#group.push(item);
    else this.#unicast.push(item);
  }

  #line(): Item[] {
    if (this.#group.length === 0) return this.#unicast;
    if (this.#unicast.length === 0) return this.#group;
    return this.#turn === turns - 1 ? this.#unicast : this.#group;
  }
}

function partsOf(item: Item): number {
  return item.indexes === null ? item.message.fragmentCount : item.indexes.length;
}
