/** What the bench asks of its processes, one at a time each, and what they answer. */

export interface Sample {
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** Buffers outside of the heap. */
  readonly externalBytes: number;
}

export interface MasterTasks {
  open: {
    readonly ask: {
      readonly store: string;
      readonly group: string;
      readonly durability: 'memory' | 'disk';
      readonly keys?: string;
      /** Absent: the product's default. */
      readonly historyBytes?: number;
    };
    readonly answer: null;
  };
  /** Waits until so many slaves are live, and puts every key once. */
  fill: { readonly ask: { readonly slaves: number }; readonly answer: { readonly version: number } };
  /** Batches from several callers, until the time is over or so many updates are decided. */
  put: {
    readonly ask: {
      readonly callers: number;
      readonly batch: number;
      readonly seconds: number;
      readonly updates: number;
      /** Batches of one caller that begin in a second, at most; absent: as fast as it goes. */
      readonly perSecond?: number;
    };
    /** `why`: of the first that was aborted. */
    readonly answer: {
      readonly updates: number;
      readonly version: number;
      readonly aborted: number;
      readonly why: string;
    };
  };
  /** One-phase changes of one value each, from several callers, until the time is over. */
  announce: {
    readonly ask: { readonly callers: number; readonly valueBytes: number; readonly seconds: number };
    readonly answer: { readonly updates: number; readonly version: number };
  };
  /** One update at a time. */
  single: {
    readonly ask: { readonly seconds: number; readonly wait: 'decided' | 'exposed'; readonly most?: number };
    readonly answer: Latencies;
  };
  memory: { readonly ask: null; readonly answer: Sample };
  /** What went through the sockets since the last time, and the digest of the state. */
  account: { readonly ask: null; readonly answer: Account };
  /** Puts so many keys once, in batches, with whoever is there to vote. */
  load: {
    readonly ask: { readonly keys: number; readonly slaves: number };
    readonly answer: { readonly version: number };
  };
  /** Begins to change one of the keys after another, a few each second, until `endLive`. */
  beginLive: { readonly ask: { readonly keys: number; readonly perSecond: number }; readonly answer: null };
  endLive: { readonly ask: null; readonly answer: LiveChanges };
  watchMemory: { readonly ask: null; readonly answer: null };
  peakMemory: { readonly ask: null; readonly answer: MemoryPeak };
  /** What left so far and what it cost, without what takes time to work out. */
  sent: { readonly ask: null; readonly answer: Sent };
  /** One update, shown by all at an instant so far from now; answers when all have told that they show it. */
  activate: { readonly ask: { readonly inMs: number }; readonly answer: Activated };
  /** A call at that microsecond of the machine's clock, with nothing behind it: when it came. */
  wake: { readonly ask: { readonly atUs: number }; readonly answer: readonly number[] };
}

/** A scheduled change as the product itself reports it. */
export interface Activated {
  readonly version: number;
  /** When the original exposed it, by the machine's one monotonic clock, microseconds. */
  readonly exposedUs: number;
  readonly spreadMs: number;
  readonly boundMs: number;
}

export interface Sent {
  readonly version: number;
  readonly counters: {
    readonly datagramsSent: number;
    readonly bytesSent: number;
    readonly datagramsReceived: number;
  };
  readonly cpu: Cpu;
}

/** Processor time of a process since it started, microseconds. */
export interface Cpu {
  readonly userUs: number;
  readonly systemUs: number;
}

export interface Account {
  readonly digest: string;
  readonly counters: object;
  readonly cpu: Cpu;
  /** Processor time of this process since it started, microseconds. */
  readonly cpuUs: number;
}

export interface SlaveTasks {
  open: {
    readonly ask: {
      readonly name: string;
      readonly store: string;
      readonly group: string;
      readonly durability: 'memory' | 'disk';
      readonly keys?: string;
    };
    readonly answer: null;
  };
  /** Answers when this copy exposes the version. */
  reached: { readonly ask: { readonly version: number; readonly timeoutMs: number }; readonly answer: null };
  memory: { readonly ask: null; readonly answer: Sample };
  account: {
    readonly ask: null;
    readonly answer: Account;
  };
}

export interface LiveChanges {
  readonly committed: number;
  readonly aborted: number;
  readonly version: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface MemoryPeak {
  /** After a collection, before and after. */
  readonly start: Sample;
  readonly end: Sample;
  readonly peakRssBytes: number;
  readonly peakExternalBytes: number;
}

/** Several slaves in one process, each with its own sockets and store. */
export interface SlavesTasks {
  open: {
    readonly ask: {
      readonly names: readonly string[];
      readonly folder: string;
      readonly group: string;
      readonly durability: 'memory' | 'disk';
      /** The clocks of the slaves, in the order of their names. Absent: the machine's. */
      readonly clocks?: readonly { readonly aheadMs: number; readonly rate: number }[];
    };
    readonly answer: null;
  };
  /** When each copy of this process exposed the version, by the machine's one monotonic clock, microseconds. */
  exposed: { readonly ask: { readonly version: number }; readonly answer: readonly number[] };
  /** As many calls at that microsecond of the same clock as there are copies here, with nothing behind them: when each came. */
  wake: { readonly ask: { readonly atUs: number }; readonly answer: readonly number[] };
  /** Answers when every copy of this process exposes the version. */
  reached: { readonly ask: { readonly version: number; readonly timeoutMs: number }; readonly answer: null };
  /** Answers when every copy of this process has this many keys. */
  filled: { readonly ask: { readonly keys: number; readonly timeoutMs: number }; readonly answer: null };
  memory: { readonly ask: null; readonly answer: Sample };
  watchMemory: { readonly ask: null; readonly answer: null };
  peakMemory: { readonly ask: null; readonly answer: MemoryPeak };
  /** Of all slaves of this process: the distinct digests, and their counters added up. */
  account: { readonly ask: null; readonly answer: SlavesAccount };
}

export interface SlavesAccount {
  readonly digests: readonly string[];
  readonly datagramsSent: number;
  readonly snapshots: number;
}

export interface RawSenderTasks {
  open: { readonly ask: { readonly group: string }; readonly answer: null };
  /** As many datagrams as the receivers take. */
  flood: {
    readonly ask: {
      readonly seconds: number;
      readonly receivers: number;
      readonly messageBytes: number;
      /** Each message is answered by all before the next one leaves, as a round is; absent: as many as fit in a window. */
      readonly oneByOne?: true;
    };
    readonly answer: RawFlood;
  };
  /** One datagram to all, one back from each. */
  roundTrips: {
    readonly ask: { readonly seconds: number; readonly receivers: number; readonly bytes: number };
    readonly answer: Latencies;
  };
  cpu: { readonly ask: null; readonly answer: Cpu };
}

export interface RawReceiverTasks {
  open: { readonly ask: { readonly group: string; readonly receivers: number }; readonly answer: null };
}

export interface RawFlood {
  readonly datagrams: number;
  readonly datagramBytes: number;
  /** Whole messages that every receiver got. */
  readonly messages: number;
  readonly lost: number;
  readonly seconds: number;
}

export interface Latencies {
  readonly count: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export type Tasks<Table> = { readonly [Name in keyof Table]: { readonly ask: unknown; readonly answer: unknown } };
export type Ask<Table extends Tasks<Table>, Name extends keyof Table> = Table[Name]['ask'];
export type Answer<Table extends Tasks<Table>, Name extends keyof Table> = Table[Name]['answer'];

/** The work that everything is measured with. */
export const workload = { keys: 10_000, valueBytes: 256, dataSet: 'bench' } as const;
