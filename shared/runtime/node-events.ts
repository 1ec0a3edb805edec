import { errorText } from '../protocol/kernel/errors.js';
import type { EventLog, EventRecord } from './ports.js';

export type EventListener = (event: EventRecord) => void;

/** Records go to the log and to those who listen for their name, or for all with `*`. */
export class EventHub implements EventLog {
  readonly #log: EventLog;
  readonly #listeners = new Map<string, Set<EventListener>>();

  constructor(log: EventLog) {
    this.#log = log;
  }

  /** The returned function stops the listening. */
  on(name: string, listener: EventListener): () => void {
    const listeners = this.#listeners.get(name) ?? new Set<EventListener>();
    listeners.add(listener);
    this.#listeners.set(name, listeners);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(name);
    };
  }

  wants(name: string, level: EventRecord['level']): boolean {
    return this.#listeners.has(name) || this.#listeners.has('*') || (this.#log.wants?.(name, level) ?? true);
  }

  record(event: EventRecord): void {
    this.#log.record(event);
    this.#tell(this.#listeners.get(event.name), event);
    this.#tell(this.#listeners.get('*'), event);
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
        });
      }
    }
  }
}

export const silentLog: EventLog = { record: () => undefined, wants: () => false };
