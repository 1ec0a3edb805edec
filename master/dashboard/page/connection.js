/**
 * The stream of the master: opened again and again until it stays open.
 *
 * @typedef {'connecting' | 'live' | 'lost' | 'token'} ConnectionState
 *
 * @typedef {object} ConnectionParts
 * @property {string} url
 * @property {() => string | null} token
 * @property {(name: string, data: unknown) => void} onEvent
 * @property {(state: ConnectionState, why: string) => void} onState
 */
import { EventParser } from './events.js';

/** The master sends something each second: several missed ones are no coincidence. */
const patienceMs = 4000;
/** How often that is looked at. */
const watchMs = 500;
const retryMinMs = 500;
const retryMaxMs = 5000;

export class Connection {
  #parts;
  #retryMs = retryMinMs;
  /** @type {AbortController | null} */
  #current = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry = undefined;
  /** When something was last heard, by this browser's clock. */
  heardAtMs = 0;

  /** @param {ConnectionParts} parts */
  constructor(parts) {
    this.#parts = parts;
    // A laptop that wakes, or a network that is back: no need to wait for the next attempt.
    addEventListener('online', () => this.#hurry());
    document.addEventListener('visibilitychange', () => document.hidden || this.#hurry());
  }

  /** Drops what there is, and opens anew: also after a token was given. */
  open() {
    clearTimeout(this.#retry);
    this.#current?.abort();
    const control = new AbortController();
    this.#current = control;
    void this.#run(control);
  }

  #hurry() {
    if (this.#retry === undefined) return;
    this.#retryMs = retryMinMs;
    this.open();
  }

  /** @param {AbortController} control */
  async #run(control) {
    this.#retry = undefined;
    let why = 'the master closed the connection';
    let heardAtMs = Date.now();
    const watch = setInterval(() => {
      if (Date.now() - heardAtMs > patienceMs) control.abort('silence');
    }, watchMs);
    try {
      const token = this.#parts.token();
      const response = await fetch(this.#parts.url, {
        signal: control.signal,
        cache: 'no-store',
        headers: token === null ? {} : { authorization: `Bearer ${token}` },
      });
      if (response.status === 401 || response.status === 403) {
        this.#parts.onState('token', token === null ? '' : 'The master does not know this token.');
        return;
      }
      if (!response.ok || response.body === null) throw new Error(await reasonOf(response));
      const parser = new EventParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        heardAtMs = this.heardAtMs = Date.now();
        for (const { name, data } of parser.push(value)) {
          this.#parts.onEvent(name, JSON.parse(data));
          if (name === 'bye') why = 'the master is shutting down';
        }
        this.#retryMs = retryMinMs;
        this.#parts.onState('live', '');
      }
    } catch (error) {
      if (control.signal.aborted) why = 'the master sends nothing';
      else if (error instanceof TypeError) why = 'the master does not answer';
      else why = error instanceof Error ? error.message : String(error);
    } finally {
      clearInterval(watch);
    }
    if (control !== this.#current) return; // Another attempt is under way already.
    this.#parts.onState('lost', why);
    this.#retry = setTimeout(() => this.open(), this.#retryMs);
    this.#retryMs = Math.min(retryMaxMs, this.#retryMs * 2);
  }
}

/** @param {Response} response */
async function reasonOf(response) {
  /** @type {unknown} */
  const answer = await response.json().catch(() => ({}));
  const body = /** @type {{ error?: { message?: string } }} */ (answer);
  return body.error?.message ?? `the master answers with ${response.status}`;
}
