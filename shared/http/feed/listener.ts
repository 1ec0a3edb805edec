import type { ServerResponse } from 'node:http';
import type { Tip } from '../../protocol/kernel/ids.js';
import { versionOf } from '../../protocol/kernel/ids.js';
import type { DeltaSource } from '../../runtime/delta-source.js';
import type { FeedEndBody } from '../bodies.js';
import { afresh, prunedText, switchedText } from './position.js';
import type { FeedLines } from './lines.js';

export type FeedFormat = 'ndjson' | 'sse';

/** Deltas taken from the source at a time. */
const batch = 64;

export interface ListenerParts {
  readonly response: ServerResponse;
  readonly format: FeedFormat;
  readonly dataSet: string;
  readonly source: DeltaSource;
  readonly lines: FeedLines;
  /** The version that the listener has. */
  readonly since: number;
  /** What the listener says that version is; checked as soon as it is known here. */
  readonly expected: Partial<Pick<Tip, 'chain'>> & { readonly epoch?: number };
  /** While nothing happens, something is said this often. */
  readonly idleMs: number;
  /** A listener that takes nothing for so long is cut. */
  readonly stallMs: number;
  readonly ended: () => void;
}

/**
 * One open feed. It has no queue: it takes the next changes from the source when its connection takes more, so that a slow
 * listener costs what its socket holds, at most one change beyond a small buffer.
 */
export class FeedListener {
  readonly #parts: ListenerParts;
  readonly #breaks: number;
  readonly #stopListening: () => void;
  #since: number;
  #isChecked = false;
  #isBlocked = false;
  #isScheduled = false;
  #isOver = false;
  #timer: NodeJS.Timeout;

  constructor(parts: ListenerParts) {
    this.#parts = parts;
    this.#since = parts.since;
    this.#breaks = parts.source.breaks;
    this.#timer = this.#sayAliveLater();
    this.#stopListening = parts.source.listen(() => {
      this.#schedule();
    });
    parts.response.on('drain', () => {
      this.#isBlocked = false;
      this.#restartTimer();
      this.#schedule();
    });
    parts.response.once('close', () => {
      this.#leave();
      clearTimeout(this.#timer);
    });
    this.#alive();
    this.#schedule();
  }

  /** The last line says why, and from where to go on. */
  end(code: FeedEndBody['error']['code'], message: string): void {
    if (this.#isOver) return;
    const { response, format, stallMs } = this.#parts;
    const body: FeedEndBody = { error: { code, message }, since: this.#since };
    const text = JSON.stringify(body);
    this.#leave();
    response.end(format === 'sse' ? `event: end\ndata: ${text}\n\n` : `${text}\n`);
    // One that doesn't read doesn't hold its connection for ever either.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => response.destroy(), stallMs).unref();
  }

  /** Many changes of one turn are one wake-up; and nothing is written from inside a commit. */
  #schedule(): void {
    if (this.#isScheduled || this.#isBlocked || this.#isOver) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { source, lines, dataSet } = this.#parts;
    if (this.#isBlocked || this.#isOver) return;
    if (source.breaks !== this.#breaks) {
      this.end(
        'history-pruned',
        `a snapshot took the place of this copy, now at version ${versionOf(source.tip)}; ${afresh(dataSet)}`,
      );
      return;
    }
    const deltas = source.after(this.#since, batch);
    if (deltas === null) {
      this.end('history-pruned', prunedText(dataSet, this.#since, source.oldestVersion));
      return;
    }
    for (const delta of deltas) {
      if (!this.#leadsOn(delta.from)) {
        this.end('history-switched', switchedText(dataSet, this.#since));
        return;
      }
      const line = lines.of(delta);
      if (!line.ok) {
        this.end('internal', `version ${delta.to.version} can't be told: ${line.reason}`);
        return;
      }
      this.#since = line.version;
      this.#isBlocked = !this.#write(line.version, line.bytes);
      if (this.#isBlocked) break;
    }
    if (deltas.length > 0) this.#restartTimer();
    // Others get their turn between two batches.
    if (deltas.length === batch) this.#schedule();
  }

  /** A change that starts where the listener is has to start from what the listener says that it has. */
  #leadsOn(from: Tip | null): boolean {
    if (this.#isChecked || versionOf(from) < this.#since) return true;
    this.#isChecked = true;
    return versionOf(from) !== this.#since || isExpected(from, this.#parts.expected);
  }

  /** False: the connection takes no more for now. */
  #write(version: number, line: Buffer): boolean {
    const { response, format } = this.#parts;
    if (format === 'ndjson') return response.write(line);
    response.cork();
    response.write(`id: ${version}\ndata: `);
    response.write(line);
    const takesMore = response.write('\n');
    response.uncork();
    return takesMore;
  }

  #alive(): void {
    const { response, format } = this.#parts;
    this.#isBlocked = !response.write(format === 'sse' ? `: at version ${this.#since}\n\n` : '\n');
  }

  #restartTimer(): void {
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    this.#timer = this.#isBlocked ? this.#cutLater() : this.#sayAliveLater();
  }

  #sayAliveLater(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#alive();
      this.#restartTimer();
    }, this.#parts.idleMs).unref();
  }

  #cutLater(): NodeJS.Timeout {
    const { stallMs } = this.#parts;
    return setTimeout(() => {
      this.end('too-slow', `this listener took nothing for ${stallMs} ms; resume with since=${this.#since}`);
    }, stallMs).unref();
  }

  #leave(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopListening();
    this.#parts.ended();
  }
}

export function isExpected(tip: Tip | null, expected: ListenerParts['expected']): boolean {
  if (expected.chain !== undefined && expected.chain !== tip?.chain) return false;
  return expected.epoch === undefined || expected.epoch === (tip?.epoch.number ?? 0);
}
