import type { Epoch } from '../kernel/ids.js';
import { copyBody, type Body } from '../wire/body.js';
import { fragmentBytes } from '../wire/datagram.js';
import { frameContext, writeFrameHeader, type FrameContext } from '../wire/header.js';
import type { PacketSeal } from '../wire/seal.js';

/** An encoded message, ready to be written into datagrams. */
export interface EncodedMessage {
  readonly id: number;
  readonly ordinal: number;
  readonly context: FrameContext;
  readonly body: Body;
  /** The body ends in a signature; default: it doesn't. */
  readonly isSigned?: boolean;
  /** 1: fits in one datagram. */
  readonly fragmentCount: number;
}

interface CachedContext {
  readonly epoch: Epoch;
  readonly context: FrameContext;
}

/** Data sets whose frame header is kept ready; a process serves few. */
const maxContexts = 256;

/** Writes datagrams: header, frames, sequence, and has them sealed. A body is copied here, once. */
export class Packer {
  readonly header: Buffer;
  readonly #seal: PacketSeal;
  readonly #maxDatagramBytes: number;
  readonly #contexts = new Map<string, CachedContext>();
  #sequence = 0;

  constructor(seal: PacketSeal, maxDatagramBytes: number) {
    this.header = seal.header;
    this.#seal = seal;
    this.#maxDatagramBytes = maxDatagramBytes;
  }

  context(dataSet: string, epoch: Epoch): FrameContext {
    const cached = this.#contexts.get(dataSet);
    if (cached?.epoch.number === epoch.number && cached.epoch.claimant === epoch.claimant) return cached.context;
    if (this.#contexts.size >= maxContexts) this.#contexts.clear();
    const context = frameContext(dataSet, epoch);
    this.#contexts.set(dataSet, { epoch, context });
    return context;
  }

  /** Bytes of body that one datagram holds. */
  capacity(context: FrameContext): number {
    return this.#maxDatagramBytes - this.header.length - context.template.length;
  }

  /** Packs whole messages in their order: as many into each datagram as fit. */
  pack(messages: readonly EncodedMessage[]): Buffer[] {
    const datagrams: Buffer[] = [];
    let first = 0;
    while (first < messages.length) {
      let bytes = this.header.length;
      let end = first;
      for (let message = messages[end]; message !== undefined; message = messages[end]) {
        const frameBytes = message.context.template.length + message.body.length;
        if (end > first && bytes + frameBytes > this.#maxDatagramBytes) break;
        bytes += frameBytes;
        end += 1;
      }
      const datagram = this.#begin(bytes);
      let offset = this.header.length;
      for (const message of messages.slice(first, end)) {
        offset = this.#write(datagram, offset, message, { index: 0, from: 0, length: message.body.length });
      }
      datagrams.push(this.#end(datagram));
      first = end;
    }
    return datagrams;
  }

  /** How long the datagram of one fragment is, the last one's excepted. */
  bytesOfFragment(message: EncodedMessage): number {
    return (
      this.header.length + message.context.template.length + fragmentBytes(message.body.length, message.fragmentCount)
    );
  }

  /** One fragment in a datagram of its own. */
  fragment(message: EncodedMessage, index: number): Buffer {
    const size = fragmentBytes(message.body.length, message.fragmentCount);
    const from = index * size;
    const length = Math.min(size, message.body.length - from);
    const datagram = this.#begin(this.header.length + message.context.template.length + length);
    this.#write(datagram, this.header.length, message, { index, from, length });
    return this.#end(datagram);
  }

  #begin(bytes: number): Buffer {
    const datagram = Buffer.allocUnsafe(bytes);
    datagram.set(this.header, 0);
    return datagram;
  }

  #write(
    datagram: Buffer,
    offset: number,
    message: EncodedMessage,
    part: { index: number; from: number; length: number },
  ): number {
    const bodyAt = writeFrameHeader(datagram, offset, message.context, {
      ordinal: message.ordinal,
      isSigned: message.isSigned === true,
      messageId: message.id,
      fragmentIndex: part.index,
      fragmentCount: message.fragmentCount,
      totalBytes: message.body.length,
      bodyBytes: part.length,
    });
    copyBody(message.body, part, datagram, bodyAt);
    return bodyAt + part.length;
  }

  #end(datagram: Buffer): Buffer {
    this.#sequence += 1;
    this.#seal.seal(datagram, this.#sequence);
    return datagram;
  }
}
