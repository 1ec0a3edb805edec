import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import type { NodeId, Peer } from '../../../shared/protocol/kernel/ids.js';
import { Endpoint } from '../../../shared/protocol/stream/endpoint.js';
import { streamLimits } from '../../../shared/protocol/stream/stream-limits.js';
import { sealDatagram, wireVersion } from '../../../shared/protocol/wire/header.js';
import { dataSet } from '../vectors/samples.js';
import { guardedGroup, type GuardedGroup } from './guarded-group.js';
import { hold, stepsTarget, type FuzzTarget } from './target.js';

const folder = fileURLToPath(new URL(`../vectors/v${wireVersion}/`, import.meta.url));

/** The golden vectors, as datagrams. */
const vectors: readonly Buffer[] = readdirSync(folder)
  .filter((name) => name.endsWith('.hex'))
  .sort()
  .map((name) => Buffer.from(readFileSync(`${folder}${name}`, 'utf8').replaceAll(/\s/g, ''), 'hex'));

const headerBytes = 57;

type Edit =
  | { readonly kind: 'set'; readonly at: number; readonly value: number }
  | { readonly kind: 'cut'; readonly bytes: number }
  | { readonly kind: 'grow'; readonly bytes: Uint8Array }
  /** Another vector's frames behind this one's. */
  | { readonly kind: 'join'; readonly vector: number };

interface DatagramStep {
  readonly bytes:
    | { readonly kind: 'noise'; readonly noise: Uint8Array }
    | { readonly kind: 'vector'; readonly vector: number; readonly edits: readonly Edit[]; readonly sealed: boolean };
  readonly from: string;
  readonly laterMs: number;
}

const edit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('set'), at: fc.nat(4000), value: fc.nat(255) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut'), bytes: fc.nat(600) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('grow'), bytes: fc.uint8Array({ maxLength: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('join'), vector: fc.nat(vectors.length - 1) }) },
);

const steps: fc.Arbitrary<DatagramStep> = fc.record({
  bytes: fc.oneof(
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('noise'), noise: fc.uint8Array({ maxLength: 200 }) }) },
    {
      weight: 9,
      arbitrary: fc.record({
        kind: fc.constant('vector'),
        vector: fc.nat(vectors.length - 1),
        edits: fc.array(edit, { maxLength: 5 }),
        sealed: fc.boolean(),
      }),
    },
  ),
  from: fc.constantFrom('10.0.0.1:7000', '10.0.0.2:7000', '10.0.0.3:7001'),
  laterMs: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(300) }),
});

function edited(vector: Buffer, edits: readonly Edit[]): Buffer {
  let bytes = Buffer.from(vector);
  for (const change of edits) {
    if (change.kind === 'set' && bytes.length > 0) bytes[change.at % bytes.length] = change.value;
    else if (change.kind === 'cut') bytes = bytes.subarray(0, Math.max(0, bytes.length - change.bytes));
    else if (change.kind === 'grow') bytes = Buffer.concat([bytes, change.bytes]);
    else if (change.kind === 'join') {
      const other = vectors[change.vector] ?? Buffer.alloc(0);
      bytes = Buffer.concat([bytes, other.subarray(headerBytes + (other[headerBytes - 1] ?? 0))]);
    }
  }
  return bytes;
}

/** So tight that a history of a few hundred datagrams runs into each of them. */
const tight = {
  ...streamLimits,
  maxPeers: 4,
  maxQueuedBytes: 16_384,
  resendBytes: 16_384,
  reassemblyBytes: 8192,
  reassemblyBytesPerSender: 4096,
  maxPartials: 4,
  maxPartialsPerSender: 2,
  maxSenders: 4,
  maxFinishedPerSender: 4,
};

const self: Peer = { node: 'a' as NodeId, incarnation: { storeId: '5e'.repeat(16), start: 2 } };

/** Bytes that aren't those of a sound datagram never get past the endpoint: neither do they change a core. */
class Subject {
  readonly #endpoint = new Endpoint({ self, maxDatagramBytes: 1400, windowBytes: 65_536, limits: tight });
  readonly #group: GuardedGroup = guardedGroup(['a']);
  #nowMs = this.#group.nowMs;

  feed({ bytes, from, laterMs }: DatagramStep): void {
    this.#nowMs += laterMs;
    const { datagram, isSound } = this.#datagramOf(bytes);
    const envelopes = this.#endpoint.receive(datagram, from, this.#nowMs);
    hold(isSound || envelopes.length === 0, 'a damaged datagram got past the endpoint');
    for (const envelope of envelopes) {
      if (envelope.dataSet !== dataSet) continue; // a node has nobody who would take it
      this.#group.tell('a', envelope);
      this.#group.tell('master', envelope);
    }
    if (laterMs > 0) this.#rest();
    this.#checkBounds();
  }

  end(): void {
    this.#nowMs += 2 * tight.maxPartialAgeMs;
    for (let turns = 0; turns < 100; turns += 1) this.#rest();
    const { queuedBytes, resendBytes, reassemblyBytes } = this.#endpoint.held;
    hold(
      queuedBytes + resendBytes + reassemblyBytes === 0,
      `something is held for ever: ${JSON.stringify(this.#endpoint.held)}`,
    );
    this.#group.end();
  }

  /** Whether a sealed datagram is sound is the decoder's to say; without a seal only an unchanged vector is. */
  #datagramOf(bytes: DatagramStep['bytes']): { datagram: Buffer; isSound: boolean } {
    if (bytes.kind === 'noise') return { datagram: Buffer.from(bytes.noise), isSound: false };
    const vector = vectors[bytes.vector] ?? Buffer.alloc(0);
    const datagram = edited(vector, bytes.edits);
    if (bytes.sealed && datagram.length >= headerBytes) {
      sealDatagram(datagram, 1 + this.#endpoint.counters.datagramsReceived);
      return { datagram, isSound: true };
    }
    return { datagram, isSound: datagram.equals(vector) };
  }

  #rest(): void {
    this.#endpoint.tick(this.#nowMs);
    this.#endpoint.takeDatagrams(this.#nowMs);
    this.#endpoint.datagramsLeft(this.#nowMs);
    this.#nowMs += 1;
  }

  #checkBounds(): void {
    const { queuedBytes, resendBytes, reassemblyBytes, peers, bytesPerMs } = this.#endpoint.held;
    hold(peers <= tight.maxPeers, `${peers} peers are remembered`);
    hold(queuedBytes <= tight.maxQueuedBytes, `${queuedBytes} bytes wait`);
    hold(resendBytes <= tight.resendBytes, `${resendBytes} bytes are kept for repairs`);
    hold(reassemblyBytes <= tight.reassemblyBytes, `${reassemblyBytes} bytes of partial messages are held`);
    hold(bytesPerMs >= tight.minRate && bytesPerMs <= tight.maxRate, `the pace is ${bytesPerMs} bytes per ms`);
  }
}

export const datagrams: FuzzTarget = stepsTarget({
  name: 'datagrams',
  about:
    'golden vectors with bytes set, cut, added and joined, half of them under a valid checksum, and noise: to an endpoint and to the cores behind it',
  chunkInputs: 2500,
  historyInputs: 250,
  step: steps,
  feed: (history) => {
    const subject = new Subject();
    for (const step of history) subject.feed(step);
    subject.end();
  },
});
