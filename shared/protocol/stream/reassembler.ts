import type { Epoch, Peer } from '../kernel/ids.js';
import type { FragmentFrame } from '../wire/datagram.js';
import type { MessageKind } from '../wire/messages.js';
import type { FragmentRange } from '../wire/transport.js';
import { wireLimits } from '../wire/wire-limits.js';
import type { EndpointCounters } from './counters.js';
import type { StreamLimits } from './stream-limits.js';

interface PartialMessage {
  readonly id: number;
  readonly kind: MessageKind;
  readonly isSigned: boolean;
  readonly dataSet: string;
  readonly epoch: Epoch;
  readonly count: number;
  readonly body: Buffer;
  /** One byte per fragment: 1 when it is here. */
  readonly have: Uint8Array;
  received: number;
  highest: number;
  /** No fragment below this index is missing. */
  completeTo: number;
  readonly firstMs: number;
  progressMs: number;
  newestSequence: number;
  requestAtMs: number;
  backoffMs: number;
  requests: number;
}

interface Sender {
  readonly peer: Peer;
  readonly partials: Map<number, PartialMessage>;
  /** Finished or given up, oldest first. */
  readonly finished: Set<number>;
  bytes: number;
}

export interface WholeBody {
  readonly kind: MessageKind;
  readonly isSigned: boolean;
  readonly dataSet: string;
  readonly epoch: Epoch;
  readonly bytes: Uint8Array;
}

/** What is to be asked of a sender. */
export interface MissingFragments {
  readonly of: Peer;
  readonly dataSet: string;
  readonly epoch: Epoch;
  readonly messageId: number;
  readonly ranges: readonly FragmentRange[];
}

/**
 * Puts fragments together, within bounds of memory, and knows when to ask for which. A body's memory is taken whole
 * with its first fragment, so the bounds hold whatever the lengths claim (G10).
 */
export class Reassembler {
  readonly #limits: StreamLimits;
  readonly #counters: EndpointCounters;
  readonly #senders = new Map<string, Sender>();
  #bytes = 0;
  #partials = 0;

  constructor(limits: StreamLimits, counters: EndpointCounters) {
    this.#limits = limits;
    this.#counters = counters;
  }

  /** Bytes that partial messages hold now. */
  get bytes(): number {
    return this.#bytes;
  }

  get partials(): number {
    return this.#partials;
  }

  /** The whole body, when this was the last fragment that it lacked. */
  add(peer: Peer, frame: FragmentFrame, sequence: number, nowMs: number): WholeBody | null {
    const key = senderKey(peer);
    const sender = this.#senders.get(key) ?? this.#addSender(key, peer);
    if (sender.finished.has(frame.messageId)) {
      this.#counters.duplicateFragments += 1;
      return null;
    }
    const known = sender.partials.get(frame.messageId);
    if (known !== undefined && !belongs(known, frame)) {
      this.#counters.rejected['bad-frame'] += 1;
      return null;
    }
    const partial = known ?? this.#begin(sender, frame, sequence, nowMs);
    if (partial.have[frame.index] === 1) {
      this.#counters.duplicateFragments += 1;
      return null;
    }
    partial.body.set(frame.bytes, frame.offset);
    partial.have[frame.index] = 1;
    partial.received += 1;
    if (frame.index > partial.highest) partial.highest = frame.index;
    while (partial.have[partial.completeTo] === 1) partial.completeTo += 1;
    if (sequence > partial.newestSequence) partial.newestSequence = sequence;
    if (partial.received === partial.count) {
      this.#end(sender, partial);
      const { kind, isSigned, dataSet, epoch, body } = partial;
      return { kind, isSigned, dataSet, epoch, bytes: body };
    }
    this.#schedule(partial, nowMs);
    partial.progressMs = nowMs;
    return null;
  }

  /** A later datagram of the same sender: what it sent before and isn't here is late or lost. */
  noteLater(peer: Peer, sequence: number, nowMs: number): void {
    if (this.#partials === 0) return;
    const sender = this.#senders.get(senderKey(peer));
    if (sender === undefined) return;
    for (const partial of sender.partials.values()) {
      if (partial.requests > 0 || sequence <= partial.newestSequence) continue;
      partial.requestAtMs = Math.min(partial.requestAtMs, nowMs + this.#limits.reorderMs);
    }
  }

  /** The requests whose time has come. Also drops the partial messages that nothing more came for. */
  takeDue(nowMs: number): MissingFragments[] {
    if (this.#partials === 0) return [];
    const due: MissingFragments[] = [];
    for (const sender of this.#senders.values()) {
      for (const partial of sender.partials.values()) {
        if (nowMs >= this.#dropAtMs(partial)) {
          this.#end(sender, partial);
          this.#counters.reassembliesGivenUp += 1;
        } else if (nowMs >= partial.requestAtMs) {
          due.push({
            of: sender.peer,
            dataSet: partial.dataSet,
            epoch: partial.epoch,
            messageId: partial.id,
            ranges: missing(partial),
          });
          partial.requests += 1;
          partial.requestAtMs = nowMs + partial.backoffMs;
          partial.backoffMs = Math.min(partial.backoffMs * 2, this.#limits.repairMaxMs);
        }
      }
    }
    return due;
  }

  nextMs(): number {
    if (this.#partials === 0) return Infinity;
    let next = Infinity;
    for (const sender of this.#senders.values()) {
      for (const partial of sender.partials.values()) {
        next = Math.min(next, partial.requestAtMs, this.#dropAtMs(partial));
      }
    }
    return next;
  }

  #dropAtMs(partial: PartialMessage): number {
    return Math.min(partial.progressMs + this.#limits.giveUpMs, partial.firstMs + this.#limits.maxPartialAgeMs);
  }

  /** A hole may be reordering for a moment; a missing end may be pacing for longer, and isn't late while more comes. Progress ends the back-off. */
  #schedule(partial: PartialMessage, nowMs: number): void {
    const { reorderMs, repairMinMs } = this.#limits;
    partial.backoffMs = repairMinMs;
    if (partial.completeTo > partial.highest) partial.requestAtMs = nowMs + repairMinMs;
    else if (partial.requests === 0) partial.requestAtMs = Math.min(partial.requestAtMs, nowMs + reorderMs);
  }

  #begin(sender: Sender, frame: FragmentFrame, sequence: number, nowMs: number): PartialMessage {
    this.#makeRoom(sender, cost(frame.totalBytes, frame.count));
    const partial: PartialMessage = {
      id: frame.messageId,
      kind: frame.messageKind,
      isSigned: frame.isSigned,
      dataSet: frame.dataSet,
      epoch: frame.epoch,
      count: frame.count,
      body: Buffer.allocUnsafeSlow(frame.totalBytes),
      have: new Uint8Array(frame.count),
      received: 0,
      highest: -1,
      completeTo: 0,
      firstMs: nowMs,
      progressMs: nowMs,
      newestSequence: sequence,
      requestAtMs: nowMs + this.#limits.repairMinMs,
      backoffMs: this.#limits.repairMinMs,
      requests: 0,
    };
    sender.partials.set(partial.id, partial);
    const bytes = cost(frame.totalBytes, frame.count);
    sender.bytes += bytes;
    this.#bytes += bytes;
    this.#partials += 1;
    return partial;
  }

  #makeRoom(sender: Sender, bytes: number): void {
    const { reassemblyBytes, reassemblyBytesPerSender, maxPartials, maxPartialsPerSender } = this.#limits;
    while (
      sender.partials.size > 0 &&
      (sender.bytes + bytes > reassemblyBytesPerSender || sender.partials.size >= maxPartialsPerSender)
    ) {
      this.#evictOldest(sender);
    }
    while (this.#partials > 0 && (this.#bytes + bytes > reassemblyBytes || this.#partials >= maxPartials)) {
      this.#evictOldest(this.#greediest());
    }
  }

  /** Whoever holds most pays: one sender's flood costs the others nothing. */
  #greediest(): Sender | undefined {
    let greediest: Sender | undefined;
    for (const sender of this.#senders.values()) {
      if (sender.partials.size > 0 && (greediest === undefined || sender.bytes > greediest.bytes)) greediest = sender;
    }
    return greediest;
  }

  #evictOldest(sender: Sender | undefined): void {
    let oldest: PartialMessage | undefined;
    for (const partial of sender?.partials.values() ?? []) {
      if (oldest === undefined || partial.progressMs < oldest.progressMs) oldest = partial;
    }
    if (sender === undefined || oldest === undefined) return;
    this.#remove(sender, oldest);
    this.#counters.reassembliesEvicted += 1;
  }

  #end(sender: Sender, partial: PartialMessage): void {
    this.#remove(sender, partial);
    sender.finished.add(partial.id);
    if (sender.finished.size <= this.#limits.maxFinishedPerSender) return;
    for (const id of sender.finished) {
      sender.finished.delete(id);
      return;
    }
  }

  #remove(sender: Sender, partial: PartialMessage): void {
    if (!sender.partials.delete(partial.id)) return;
    const bytes = cost(partial.body.length, partial.count);
    sender.bytes -= bytes;
    this.#bytes -= bytes;
    this.#partials -= 1;
  }

  #addSender(key: string, peer: Peer): Sender {
    if (this.#senders.size >= this.#limits.maxSenders) this.#dropSender();
    const sender: Sender = { peer, partials: new Map(), finished: new Set(), bytes: 0 };
    this.#senders.set(key, sender);
    return sender;
  }

  /** The first one that has nothing under way; if all have, the first. */
  #dropSender(): void {
    let victim: string | undefined;
    for (const [key, sender] of this.#senders) {
      victim ??= key;
      if (sender.partials.size > 0) continue;
      victim = key;
      break;
    }
    if (victim === undefined) return;
    const sender = this.#senders.get(victim);
    for (const partial of sender?.partials.values() ?? []) {
      this.#counters.reassembliesEvicted += 1;
      if (sender !== undefined) this.#remove(sender, partial);
    }
    this.#senders.delete(victim);
  }
}

/** Message ids begin again with each start of a process, so the start is part of the key. */
function senderKey(peer: Peer): string {
  return `${peer.incarnation.storeId}.${peer.incarnation.start}.${peer.node}`;
}

function cost(totalBytes: number, count: number): number {
  return totalBytes + count;
}

function belongs(partial: PartialMessage, frame: FragmentFrame): boolean {
  return (
    partial.kind === frame.messageKind &&
    partial.isSigned === frame.isSigned &&
    partial.count === frame.count &&
    partial.body.length === frame.totalBytes &&
    partial.dataSet === frame.dataSet &&
    partial.epoch.number === frame.epoch.number &&
    partial.epoch.claimant === frame.epoch.claimant
  );
}

function missing(partial: PartialMessage): FragmentRange[] {
  const ranges: FragmentRange[] = [];
  let index = partial.completeTo;
  while (index < partial.count && ranges.length < wireLimits.maxFragmentRanges) {
    if (partial.have[index] === 1) {
      index += 1;
      continue;
    }
    const first = index;
    while (index < partial.count && partial.have[index] === 0) index += 1;
    ranges.push({ first, count: index - first });
  }
  return ranges;
}
