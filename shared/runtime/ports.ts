import type { StoreReader, StoreTransaction } from '../protocol/kernel/store.js';

/**
 * The machine as the services see it. Each port has a real adapter here and a simulated twin under
 * `tests/integration/sim`; both pass the suite of that port in `tests/integration/conformance`.
 */

/** `host:port`, with brackets around an IPv6 host. */
export type Address = string;

/** Time, as services and layers measure it; virtual under simulation. */
export interface Clock {
  /** Never goes back; the only clock that deadlines and leases are measured with. Milliseconds, with fractions. */
  monotonicMs(): number;
  /** The time of day, for people and for noticing that the machine was suspended. */
  wallMs(): number;
  /** Calls back once, not before `atMs` of the monotonic clock. The returned function cancels it. */
  at(atMs: number, callback: () => void): () => void;
  /**
   * As `at`, and as close behind `atMs` as the machine can: some hundredths of a millisecond when the process has nothing else to do.
   * For the last 5 ms the process does nothing else, and meets what others of it wait for within 5 ms more; what arrives meanwhile waits in the sockets.
   */
  exactlyAt(atMs: number, callback: () => void): () => void;
  /**
   * Calls back once, not from inside the call: after promises have settled that hang on what runs now, and after
   * datagrams that have arrived, but before the process waits for anything.
   */
  soon(callback: () => void): void;
}

/** Datagrams: unreliable, unordered, bounded in size. Sending never throws and never blocks. */
export interface Transport {
  /** Where unicast reaches this node. */
  readonly address: Address;
  /** The largest datagram worth sending, from the interface's MTU; longer ones are refused. */
  readonly maxDatagramBytes: number;
  /** The receive buffer as the system granted it, bytes. */
  readonly receiveBufferBytes: number;
  /** Datagrams that the system dropped because nobody read them in time; null where it doesn't tell. */
  kernelDrops?(): number | null;
  /** `group` reaches every node of the group (with unicast fan-out: every peer). */
  send(bytes: Uint8Array, to: Address | 'group'): void;
  /** The one receiver; the bytes are its to keep. `byGroup`: they came by multicast. */
  onReceive(receiver: (bytes: Uint8Array, from: Address, byGroup: boolean) => void): void;
  close(): Promise<void>;
}

/** Streams for what is too large for datagrams. The one who has the bytes serves; the one who lacks them fetches. */
export interface Bulk {
  /** The port that fetchers connect to, at this node's unicast host. */
  readonly port: number;
  /**
   * Offers one stream under a token, once, until it is fetched or `ttlMs` have passed. `ended` is called exactly once. Streams
   * of one `group` read one source together, so that none of them may have to wait for another's end.
   */
  offer(
    token: string,
    source: () => AsyncIterable<Uint8Array>,
    ttlMs: number,
    ended: (error: Error | null) => void,
    group?: object,
  ): void;
  /** Fetches; back-pressure reaches the source. Ends with an error when the stream was cut or the token is unknown. */
  fetch(address: Address, token: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** When a write counts as done. */
export interface WriteOptions {
  /** True: `done` is called after fsync. False: after the write is visible to reads of this process, and no more. */
  readonly durable: boolean;
}

/** Where a node keeps what must outlive its process. */
export interface Store extends StoreReader {
  /**
   * One transaction. `change` runs once, now or later, and must not read; writes take effect in the order of their
   * calls. `done(error)` is called once, later, never from inside `write`. After an error the store takes no more
   * writes: what is on disk is then known only to a new process that reads it.
   */
  write(
    change: (transaction: StoreTransaction) => void,
    options: WriteOptions,
    done: (error: Error | null) => void,
  ): void;
  close(): Promise<void>;
}

/** One name per thing that happens; fields are plain data. */
export interface EventRecord {
  readonly name: string;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The host's own logger, seen from a node. */
export interface EventLog {
  /** Called once for each event; must return soon and not throw. */
  record(event: EventRecord): void;
  /** False: an event of this name and level would be dropped, and needn't be made. Absent: all are wanted. */
  wants?(name: string, level: EventRecord['level']): boolean;
}
