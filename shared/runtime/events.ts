import type { EventShape } from '../protocol/kernel/events.js';

/** What the machine under a node records, of either side. `docs/events.md` is made of this. */
export interface NodeEvents {
  /** The node leaves this machine without keys, as it was told to. */
  readonly insecure: EventShape<'warn', { readonly open: string; readonly reason: string }>;
  /** The system granted a smaller receive buffer than asked for; `remedy` is the command that lifts that. */
  readonly 'receive-buffer-clamped': EventShape<
    'warn',
    { readonly requestedBytes: number; readonly grantedBytes: number; readonly remedy: string }
  >;
  /** There is no multicast on this interface at all: the node goes on by unicast. */
  readonly 'multicast-unavailable': EventShape<'warn', { readonly reason: string; readonly remedy: string }>;
  /** A node answers, and nothing of what it says to the group arrives here: it is asked to send by unicast. */
  readonly 'multicast-unheard': EventShape<
    'warn',
    { readonly node: string; readonly silentMs: number | null; readonly reason: string; readonly remedy: string }
  >;
  /** What this node says to the group doesn't arrive at another: each packet for all goes there by unicast as well. */
  readonly 'multicast-unreached': EventShape<
    'warn',
    { readonly node: string; readonly address: string; readonly reason: string; readonly remedy: string }
  >;
  /** Multicast of a node arrives again. */
  readonly 'multicast-heard': EventShape<'info', { readonly node: string; readonly reason: string }>;
  /** Multicast arrives at a node again: no more by unicast. */
  readonly 'multicast-reached': EventShape<
    'info',
    { readonly node: string; readonly address: string; readonly reason: string }
  >;
  /** Keys were read again, and are in use. */
  readonly 'keys-changed': EventShape<'info', { readonly inUse: string }>;
  /** Keys were read again and can't be used; those before stay. */
  readonly 'keys-refused': EventShape<'error', { readonly reason: string; readonly inUse: string }>;
  /** A listener of yours threw; nobody else noticed. */
  readonly 'listener-failed': EventShape<'error', { readonly event: string; readonly reason: string }>;
  /** A bug of Lockstep's own: this node has stopped. */
  readonly 'node-failed': EventShape<'error', { readonly node: string; readonly reason: string }>;
}

/** An event of a data set says whose it is, and of which node. */
export type OfDataSet<Events> = {
  readonly [Name in keyof Events]: Events[Name] extends EventShape<infer Level, infer Fields>
    ? EventShape<Level, { readonly dataSet: string; readonly node: string } & Fields>
    : never;
};

export type OfNode<Events> = {
  readonly [Name in keyof Events]: Events[Name] extends EventShape<infer Level, infer Fields>
    ? EventShape<Level, { readonly dataSet?: undefined } & Fields>
    : never;
};
