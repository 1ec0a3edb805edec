import { BoundedMap } from '../protocol/kernel/bounded.js';
import type { NodeId, Tip } from '../protocol/kernel/ids.js';
import { limits } from '../protocol/kernel/limits.js';
import type { Clock } from './ports.js';
import { SharedStream } from './shared-stream.js';

export interface StreamWanted {
  readonly node: NodeId;
  /** What is streamed: streams of one name lead from the same state. */
  readonly name: string;
  /** The newest state that it may lead to. */
  readonly at: Tip;
  /** An earlier one does as well, down to this version. */
  readonly notBelow: number;
  readonly open: () => AsyncIterable<Uint8Array>;
}

export interface StreamGiven {
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly at: Tip;
  /** The same for all who read one source. */
  readonly group: object;
}

interface Open {
  readonly name: string;
  readonly at: Tip;
  readonly stream: SharedStream;
  readonly cancelKeeping: () => void;
}

/**
 * What several slaves lack is read and encoded once: who asks soon after another gets the same stream, even if the data has
 * gone on meanwhile; the rest comes as a delta. Who was too slow for the others gets a stream of its own.
 */
export class SharedStreams {
  readonly #clock: Clock;
  #open: Open[] = [];
  readonly #slow = new BoundedMap<string, true>(limits.sharedStreamReaders);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  give(wanted: StreamWanted): StreamGiven {
    const { node, name, at, notBelow } = wanted;
    const isSlow = this.#slow.has(node);
    this.#slow.delete(node);
    const known = isSlow ? undefined : this.#open.find((open) => open.name === name && this.#serves(open, notBelow));
    const open = known ?? this.#start(wanted, isSlow);
    const cutOff = (): void => this.#slow.set(node, true);
    return { chunks: open.stream.join(cutOff), at: known?.at ?? at, group: open.stream };
  }

  /** Lets go of what is only kept for others who might come. */
  close(): void {
    for (const open of this.#open) this.#forget(open);
  }

  #serves({ stream, at }: Open, notBelow: number): boolean {
    return stream.isJoinable && at.version >= notBelow && stream.readers < limits.sharedStreamReaders;
  }

  #start({ name, at, open: source }: StreamWanted, alone: boolean): Pick<Open, 'stream' | 'at'> {
    const { sharedStreamBytes: windowBytes, sharedStreamPatienceMs: patienceMs, sharedStreamMs } = limits;
    const stream = new SharedStream({ source: source(), clock: this.#clock, windowBytes, patienceMs });
    if (alone) return { stream, at };
    const open: Open = {
      name,
      at,
      stream,
      cancelKeeping: this.#clock.at(this.#clock.monotonicMs() + sharedStreamMs, () => this.#forget(open)),
    };
    this.#open = [...this.#open, open];
    return open;
  }

  #forget(open: Open): void {
    open.cancelKeeping();
    this.#open = this.#open.filter((each) => each !== open);
    open.stream.close();
  }
}
