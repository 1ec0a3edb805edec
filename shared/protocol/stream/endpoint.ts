import { LockstepError } from '../kernel/errors.js';
import { noEpoch, type Epoch, type Peer } from '../kernel/ids.js';
import type { Body } from '../wire/body.js';
import { decodeBody, encodeBody, isSession } from '../wire/codec.js';
import { decodeFrames, fragmentCount, splitSignature, type FragmentFrame, type Frame } from '../wire/datagram.js';
import { isFromSender, maxFragments } from '../wire/header.js';
import type { Envelope, Message } from '../wire/messages.js';
import { messageOrdinals, transportOrdinals } from '../wire/registry.js';
import { ChecksumSeal, type PacketSeal, type SignedContext } from '../wire/seal.js';
import {
  encodeFragmentRequest,
  encodePath,
  pathDataSet,
  type FragmentRequest,
  type PathMessage,
} from '../wire/transport.js';
import { wireLimits } from '../wire/wire-limits.js';
import { noCounts, type EndpointCounters } from './counters.js';
import { PacedQueue } from './paced-queue.js';
import { Pacer } from './pacer.js';
import { Packer, type EncodedMessage } from './packer.js';
import { GroupPaths, type OutgoingPath, type PathEvent, type PathView } from './paths.js';
import { peerKey, PeerTable } from './peers.js';
import { Reassembler } from './reassembler.js';
import { ResendBuffer, type SentMessage } from './resend-buffer.js';
import { streamLimits, type StreamLimits } from './stream-limits.js';
import type { Address, Datagram, EndpointOptions, Outgoing } from './types.js';

export type { EndpointCounters } from './counters.js';
export type { Address, Datagram, EndpointOptions, Outgoing } from './types.js';

/**
 * One node's end of the wire, pure: messages in, datagrams out, and the other way. It packs small messages together,
 * cuts large ones into fragments, paces those, repairs the lost ones, and remembers where peers live. Delivery is at
 * most once per copy sent, in any order; what must arrive is repeated by the cores.
 *
 * The driver calls `send` for each message, then `takeDatagrams` once; `receive` for each datagram that came; and, when
 * `nextWakeMs` has come, `tick` and `takeDatagrams`. A spurious call does nothing.
 */
export class Endpoint {
  readonly counters: EndpointCounters = noCounts();
  readonly #self: Peer;
  readonly #limits: StreamLimits;
  readonly #maxDatagramBytes: number;
  readonly #seal: PacketSeal;
  readonly #packer: Packer;
  readonly #peers: PeerTable;
  readonly #pacer: Pacer;
  readonly #paced = new PacedQueue();
  readonly #resends: ResendBuffer;
  readonly #reassembler: Reassembler;
  readonly #paths: GroupPaths;
  readonly #onAnswer: EndpointOptions['onPath'];
  /** Whole small messages by destination, to be packed when the datagrams are taken. */
  #small = new Map<'group' | Address, EncodedMessage[]>();
  #smallSinceMs = Infinity;
  #pacedAtMs = Infinity;
  #nextMessageId = 0;
  /** Messages of which fragments were taken and not reported as gone. */
  #leaving: SentMessage[] = [];

  /** Throws `bad-option` when the datagram size is out of the wire's range. */
  constructor(options: EndpointOptions) {
    const { minDatagramBytes, maxDatagramBytes } = wireLimits;
    if (!(options.maxDatagramBytes >= minDatagramBytes)) {
      throw new LockstepError(
        'bad-option',
        `datagrams of ${options.maxDatagramBytes} bytes are too small; use at least ${minDatagramBytes}`,
      );
    }
    this.#self = options.self;
    this.#limits = { ...streamLimits, ...options.limits };
    this.#maxDatagramBytes = Math.min(options.maxDatagramBytes, maxDatagramBytes);
    this.#seal = options.seal ?? new ChecksumSeal(options.self);
    this.#packer = new Packer(this.#seal, this.#maxDatagramBytes);
    this.#peers = new PeerTable(this.#limits, options.windowBytes);
    this.#pacer = new Pacer(this.#limits, this.#peers.smallestWindow(0));
    this.#resends = new ResendBuffer(this.#limits);
    this.#reassembler = new Reassembler(this.#limits, this.counters);
    this.#paths = new GroupPaths(options.paths ?? { mode: 'multicast' }, options.self.incarnation.storeId);
    this.#onAnswer = options.onPath;
  }

  /**
   * Takes a message for sending; the bytes of a change must not be written to from now on. What goes to a peer whose
   * address isn't known is dropped and counted, and so is what is too large or finds the queue full: the cores repeat.
   */
  send(outgoing: Outgoing, nowMs: number): void {
    const to = outgoing.to === 'all' ? 'group' : this.#peers.addressOf(outgoing.to);
    if (to === null) {
      this.counters.undeliverable += 1;
      return;
    }
    const { dataSet, epoch, message } = outgoing;
    const signed = this.#seal.sign(message, this.#packer.context(dataSet, epoch), encodeBody(message));
    if (signed === null) {
      this.counters.withheld += 1;
      return;
    }
    const ordinal = messageOrdinals[message.kind];
    const { body, isSigned } = signed;
    this.#enqueue(to, { dataSet, epoch, ordinal, body, isSigned, overtakes: isSession(message) }, nowMs);
    if (to === 'group') this.#sendPaths(this.#paths.saying(nowMs), nowMs);
  }

  /** All datagrams that may leave now. The rest comes when `nextWakeMs` says. */
  takeDatagrams(nowMs: number): Datagram[] {
    this.#answerRequests(nowMs);
    this.#leaving = [];
    const datagrams: Datagram[] = [];
    this.#takeSmall(datagrams, nowMs);
    this.#takePaced(datagrams, nowMs);
    return datagrams;
  }

  /**
   * Optional after `takeDatagrams`: all that was taken has been handed to the system. Sending many takes long, and longer
   * when the process is kept from running meanwhile; a request that comes then is about what hadn't left yet.
   */
  datagramsLeft(nowMs: number): void {
    if (this.#leaving.length === 0) return;
    for (const sent of this.#leaving) sent.lastSentMs = nowMs;
    this.#leaving = [];
  }

  /**
   * What came for the cores in this datagram; nothing when it was refused, which the counters tell. Never throws.
   * `byGroup`: it came by multicast.
   */
  receive(bytes: Uint8Array, from: Address, nowMs: number, byGroup = false): Envelope[] {
    this.counters.datagramsReceived += 1;
    this.counters.bytesReceived += bytes.length;
    if (isFromSender(bytes, this.#packer.header)) {
      this.counters.ownLoopedBack += 1;
      return [];
    }
    const opened = this.#seal.open(bytes);
    if (typeof opened === 'string') {
      this.counters.rejected[opened] += 1;
      if (opened === 'replayed') this.#paths.doubled(from, byGroup, nowMs);
      return [];
    }
    const decoded = decodeFrames(opened.bytes, opened.header);
    if (!decoded.ok) {
      this.counters.rejected[decoded.reason] += 1;
      return [];
    }
    const { sender, sequence } = decoded;
    const key = peerKey(sender);
    const frames = opened.isOlder ? this.#ofOlder(decoded.frames) : decoded.frames;
    if (frames.length === 0) return [];
    if (this.#peers.learn(sender, key, from, nowMs)) this.#paths.heard(key, sender, { from, byGroup }, nowMs);
    else this.counters.oldIncarnation += 1;
    const envelopes: Envelope[] = [];
    const { origin } = opened;
    for (const frame of frames) {
      if (frame.kind === 'message') {
        const { dataSet, epoch, message, signed } = frame;
        if (!this.#mayAct({ dataSet, epoch, message, signed, origin })) continue;
        envelopes.push({ from: sender, dataSet, epoch, message });
        this.#noteMessage({ sender, key, from, byGroup }, message, nowMs);
      } else if (frame.kind === 'fragment') {
        this.#onFragment({ sender, key, from, byGroup, sequence, frame, origin, envelopes }, nowMs);
      } else if (frame.kind === 'path') {
        this.#onPath({ sender, key, from, byGroup }, frame.message, nowMs);
      } else {
        this.#onFragmentRequest(key, from, frame.request, nowMs);
      }
    }
    this.#reassembler.noteLater(sender, sequence, nowMs);
    return envelopes;
  }

  /**
   * Does what has come due: asks for missing fragments, answers such requests, drops what is too old. Only a timer's turn
   * may ask, since by then everything that waited in the sockets has been read; in a datagram's own turn the next ones
   * may still wait there.
   */
  tick(nowMs: number): void {
    for (const lack of this.#reassembler.takeDue(nowMs)) {
      const to = this.#peers.addressOf(lack.of);
      if (to === null) continue;
      const body = encodeFragmentRequest({ of: lack.of.incarnation, messageId: lack.messageId, ranges: lack.ranges });
      this.#enqueue(
        to,
        {
          dataSet: lack.dataSet,
          epoch: lack.epoch,
          ordinal: transportOrdinals['fragment-request'],
          body,
          isSigned: false,
          overtakes: true,
        },
        nowMs,
      );
      this.counters.repairsRequested += 1;
    }
    this.#answerRequests(nowMs);
    this.#resends.expire(nowMs);
    if (nowMs >= this.#paths.nextMs) this.#sendPaths(this.#paths.tick(nowMs), nowMs);
  }

  #answerRequests(nowMs: number): void {
    for (const repair of this.#resends.takeDue(nowMs)) {
      this.#paced.addRepair(repair.to, repair.sent, repair.indexes);
      this.#pacedAtMs = nowMs;
    }
  }

  /** When to call `tick` and `takeDatagrams` next, on the clock of `nowMs`; in the past when something waits to be taken. */
  nextWakeMs(): number {
    return Math.min(
      this.#smallSinceMs,
      this.#paced.isEmpty ? Infinity : this.#pacedAtMs,
      this.#reassembler.nextMs(),
      this.#resends.nextMs(),
      this.#paths.nextMs,
    );
  }

  /** Where the peer was last heard from; null when it wasn't. */
  addressOf(peer: Peer): Address | null {
    return this.#peers.addressOf(peer);
  }

  /** Whom multicast reaches and whom it doesn't, as far as that is known. */
  get paths(): PathView {
    return this.#paths.view;
  }

  /** What has become of multicast since this was asked last; for the log. */
  takeEvents(): readonly PathEvent[] {
    return this.#paths.takeEvents();
  }

  /** Asks by multicast or by unicast how this node is heard there: `onPath` of the options hears the answers. */
  probe(to: 'group' | Address, number: number, nowMs: number): void {
    this.#sendPaths([{ to, message: { kind: 'path-probe', number } }], nowMs);
  }

  /** What the endpoint holds now, bytes: for gauges, and for the tests of its bounds. */
  get held(): {
    readonly queuedBytes: number;
    readonly resendBytes: number;
    readonly reassemblyBytes: number;
    readonly peers: number;
    readonly bytesPerMs: number;
  } {
    return {
      queuedBytes: this.#paced.bytes,
      resendBytes: this.#resends.bytes,
      reassemblyBytes: this.#reassembler.bytes,
      peers: this.#peers.size,
      bytesPerMs: this.#pacer.rate,
    };
  }

  #enqueue(
    to: 'group' | Address,
    frame: { dataSet: string; epoch: Epoch; ordinal: number; body: Body; isSigned: boolean; overtakes: boolean },
    nowMs: number,
  ): void {
    const { dataSet, body, isSigned } = frame;
    const context = this.#packer.context(dataSet, frame.epoch);
    const capacity = this.#packer.capacity(context);
    const count = body.length <= capacity ? 1 : fragmentCount(body.length, capacity);
    if (body.length > wireLimits.maxMessageBytes || count > maxFragments) {
      this.counters.oversized += 1;
      return;
    }
    const message: EncodedMessage = {
      id: this.#nextMessageId,
      ordinal: frame.ordinal,
      context,
      body,
      isSigned,
      fragmentCount: count,
    };
    this.#nextMessageId = (this.#nextMessageId + 1) % 0x1_0000_0000;
    // A small message doesn't overtake the fragments of an earlier one about the same data: it would show as a gap.
    if (count === 1 && (frame.overtakes || this.#paced.isEmpty || !this.#paced.holds(orderKeyOf(to, dataSet)))) {
      this.#addSmall(to, message, nowMs);
    } else {
      if (this.#paced.bytes + body.length > this.#limits.maxQueuedBytes) {
        this.counters.queueFull += 1;
        return;
      }
      this.#paced.add(
        to,
        message,
        count === 1 ? null : this.#resends.keep(message, to, nowMs),
        orderKeyOf(to, dataSet),
      );
      this.#pacedAtMs = nowMs;
    }
    this.counters.messagesSent += 1;
  }

  #addSmall(to: 'group' | Address, message: EncodedMessage, nowMs: number): void {
    const waiting = this.#small.get(to);
    if (waiting === undefined) this.#small.set(to, [message]);
    else waiting.push(message);
    if (this.#smallSinceMs === Infinity) this.#smallSinceMs = nowMs;
  }

  #takeSmall(datagrams: Datagram[], nowMs: number): void {
    if (this.#small.size === 0) return;
    for (const [to, messages] of this.#small) {
      for (const bytes of this.#packer.pack(messages)) {
        if (to === 'group') this.#pacer.charge(bytes.length, nowMs);
        this.#put(datagrams, to, bytes, nowMs);
      }
    }
    this.#small = new Map();
    this.#smallSinceMs = Infinity;
  }

  #takePaced(datagrams: Datagram[], nowMs: number): void {
    if (this.#paced.isEmpty) return;
    this.#pacer.setWindow(this.#peers.smallestWindow(nowMs));
    for (let next = this.#paced.peek(); next !== null; next = this.#paced.peek()) {
      const room = this.#packer.bytesOfFragment(next.message);
      if (!this.#pacer.take(room, nowMs)) {
        this.#pacedAtMs = this.#pacer.readyAtMs(room, nowMs);
        return;
      }
      this.#put(datagrams, next.to, this.#packer.fragment(next.message, next.index), nowMs);
      this.#paced.shift();
      if (next.sent === null) continue;
      next.sent.lastSentMs = nowMs;
      if (this.#leaving.at(-1) !== next.sent) this.#leaving.push(next.sent);
      if (next.again) {
        next.sent.underWay.delete(next.index);
        this.counters.fragmentsResent += 1;
      } else {
        next.sent.sentUpTo = next.index + 1;
        this.counters.fragmentsSent += 1;
        this.#pacer.noteSent(1, nowMs);
      }
    }
    this.#pacedAtMs = Infinity;
  }

  #put(datagrams: Datagram[], to: 'group' | Address, bytes: Uint8Array, nowMs: number): void {
    datagrams.push({ to, bytes });
    this.counters.datagramsSent += 1;
    this.counters.bytesSent += bytes.length;
    if (to !== 'group') return;
    for (const address of this.#paths.copies) this.#putCopy(datagrams, address, bytes);
    for (const address of this.#paths.takeUnknown(nowMs)) this.#putCopy(datagrams, address, bytes);
  }

  /** The same datagram, sequence and all: who gets it both ways takes it once, or as a double. */
  #putCopy(datagrams: Datagram[], to: Address, bytes: Uint8Array): void {
    datagrams.push({ to, bytes });
    this.counters.datagramsSent += 1;
    this.counters.groupCopiesSent += 1;
    this.counters.bytesSent += bytes.length;
  }

  #sendPaths(paths: readonly OutgoingPath[], nowMs: number): void {
    for (const { to, message } of paths) {
      const ordinal = transportOrdinals[message.kind];
      const body = encodePath(message);
      const frame = { dataSet: pathDataSet, epoch: noEpoch, ordinal, body, isSigned: false, overtakes: true };
      this.#enqueue(to, frame, nowMs);
    }
  }

  #onPath(came: Came, message: PathMessage, nowMs: number): void {
    const { sender, key, from, byGroup } = came;
    this.#onAnswer?.({ from: sender, address: from, byGroup, message });
    this.#sendPaths(this.#paths.path(key, sender, { from, byGroup, message }, nowMs), nowMs);
  }

  /** A cloned store shows by a join of fewer starts, which gets a refusal and changes nothing. All else is a recording. */
  #ofOlder(frames: readonly Frame[]): readonly Frame[] {
    const joins = frames.filter((frame) => frame.kind === 'message' && frame.message.kind === 'join');
    if (joins.length < frames.length) this.counters.rejected['old-incarnation'] += 1;
    return joins;
  }

  #mayAct(context: SignedContext): boolean {
    const reason = this.#seal.whyUnsigned(context);
    if (reason !== null) this.counters.rejected[reason] += 1;
    return reason === null;
  }

  #onFragment(
    came: Came & {
      sequence: number;
      frame: FragmentFrame;
      origin: Uint8Array;
      envelopes: Envelope[];
    },
    nowMs: number,
  ): void {
    this.counters.fragmentsReceived += 1;
    const whole = this.#reassembler.add(came.sender, came.frame, came.sequence, nowMs);
    if (whole === null) return;
    const signed = whole.isSigned ? splitSignature(whole.bytes) : null;
    const message = decodeBody(whole.kind, signed?.body ?? whole.bytes);
    if (message === null) {
      this.counters.rejected['bad-body'] += 1;
      return;
    }
    this.counters.messagesReassembled += 1;
    const { dataSet, epoch } = whole;
    if (!this.#mayAct({ dataSet, epoch, message, signed, origin: came.origin })) return;
    came.envelopes.push({ from: came.sender, dataSet, epoch, message });
    this.#noteMessage(came, message, nowMs);
  }

  #onFragmentRequest(key: string, from: Address, request: FragmentRequest, nowMs: number): void {
    this.counters.repairsAsked += 1;
    const own = this.#self.incarnation;
    if (request.of.storeId !== own.storeId || request.of.start !== own.start) {
      this.counters.repairsUnserved += 1;
      return;
    }
    const { held, newlyLost } = this.#resends.ask(
      { peer: key, from, messageId: request.messageId, ranges: request.ranges },
      nowMs,
    );
    if (!held) this.counters.repairsUnserved += 1;
    if (newlyLost > 0) this.#pacer.noteLost(key, newlyLost, nowMs);
  }

  #noteMessage({ key, sender, from, byGroup }: Came, message: Message, nowMs: number): void {
    this.counters.messagesReceived += 1;
    this.#paths.message(key, sender, { from, byGroup, message }, nowMs);
    if (message.kind === 'status') this.#peers.noteWindow(key, message.windowBytes, nowMs);
  }
}

/** From whom a frame came, and by which way. */
interface Came {
  readonly sender: Peer;
  readonly key: string;
  readonly from: Address;
  readonly byGroup: boolean;
}

function orderKeyOf(to: 'group' | Address, dataSet: string): string {
  return `${to} ${dataSet}`;
}
