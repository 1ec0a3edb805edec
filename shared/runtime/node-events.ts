import type { Channel } from 'node:diagnostics_channel';
import { channel } from 'node:diagnostics_channel';
import { errorText } from '../protocol/kernel/errors.js';
import type { EventOf } from '../protocol/kernel/events.js';
import type { NodeEvents } from './events.js';
import { guardedLog } from './loggers.js';
import type { EventLog, EventRecord } from './ports.js';

export type EventListener = (event: EventRecord) => void;

/** Ends a listening: call it, or let `using` do so. */
export type Subscription = (() => void) & Disposable;

export interface ListenOptions {
  /** Aborting it ends the listening. */
  readonly signal?: AbortSignal | undefined;
}

/** Whose events these are, to those who listen for the whole process. */
export interface EventSource {
  readonly role: 'master' | 'slave';
  readonly node: string;
}

/** What a diagnostics channel carries. */
export type ChannelMessage = EventSource & EventRecord;

/**
 * Records go to the log, to those who listen for their name, or for all with `*`, and to the diagnostics channel of their
 * name. What nobody wants isn't made.
 */
export class EventHub implements EventLog {
  readonly #log: EventLog;
  readonly #source: EventSource | null;
  readonly #listeners = new Map<string, Set<EventListener>>();
  /** By the event's name. Held here, since Node forgets a channel that nobody holds. */
  readonly #channels = new Map<string, Channel>();

  /** Without a `source` nothing is published on diagnostics channels. */
  constructor(log: EventLog, source: EventSource | null = null) {
    this.#log = log;
    this.#source = source;
  }

  on(name: string, listener: EventListener, { signal }: ListenOptions = {}): Subscription {
    // One entry for each call, so that a listener given twice is called twice, and each end ends one.
    const entry: EventListener = (event) => {
      listener(event);
    };
    const listeners = this.#listeners.get(name) ?? new Set<EventListener>();
    const end = (): void => {
      signal?.removeEventListener('abort', end);
      listeners.delete(entry);
      if (listeners.size === 0 && this.#listeners.get(name) === listeners) this.#listeners.delete(name);
    };
    if (signal?.aborted !== true) {
      listeners.add(entry);
      this.#listeners.set(name, listeners);
      signal?.addEventListener('abort', end, { once: true });
    }
    return Object.assign(end, { [Symbol.dispose]: end });
  }

  wants(name: string, level: EventRecord['level']): boolean {
    if (this.#listeners.size > 0 && (this.#listeners.has(name) || this.#listeners.has('*'))) return true;
    return (this.#log.wants?.(name, level) ?? true) || this.#channel(name)?.hasSubscribers === true;
  }

  record(event: EventRecord): void {
    this.#log.record(event);
    if (this.#listeners.size > 0) {
      this.#tell(this.#listeners.get(event.name), event);
      this.#tell(this.#listeners.get('*'), event);
    }
    const published = this.#channel(event.name);
    if (this.#source === null || published?.hasSubscribers !== true) return;
    published.publish({ ...this.#source, ...event } satisfies ChannelMessage);
  }

  #channel(name: string): Channel | undefined {
    if (this.#source === null) return undefined;
    const known = this.#channels.get(name);
    if (known !== undefined) return known;
    const made = channel(channelName(this.#source.role, name));
    this.#channels.set(name, made);
    return made;
  }

  /** A listener that throws is recorded and disturbs nobody: it runs in the middle of a turn. */
  #tell(listeners: Set<EventListener> | undefined, event: EventRecord): void {
    if (listeners === undefined) return;
    for (const listener of [...listeners]) {
      try {
        listener(event);
      } catch (error) {
        this.#log.record({
          name: 'listener-failed',
          level: 'error',
          fields: { event: event.name, reason: errorText(error) },
        } satisfies EventOf<NodeEvents, 'listener-failed'>);
      }
    }
  }
}

/** `lockstep:master:round-started` carries what a master records as `round started`. */
export function channelName(role: EventSource['role'], event: string): string {
  return `lockstep:${role}:${event.replaceAll(' ', '-')}`;
}

/** What a node that is opened records to, from its first moment on. */
export function openLog(log: EventLog | undefined, source: EventSource): EventLog {
  return new EventHub(log === undefined ? silentLog : guardedLog(log), source);
}

/** The hub that the ports record to already, or one above their log. */
export function hubOf(log: EventLog, source: EventSource): EventHub {
  return log instanceof EventHub ? log : new EventHub(log, source);
}

export const silentLog: EventLog = { record: () => undefined, wants: () => false };
