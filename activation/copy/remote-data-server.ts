import { errorText, LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { Clock } from '../../shared/runtime/ports.js';
import { cycleBounds as bounds } from './core/bounds.js';
import type { Activation, ContentKind, Cycle, CycleAnswer, CycleStamps, RequestId } from './core/io.js';
import type { Content } from './content.js';
import { parseContentPage, parseLocked, parseProblem, parseTable, type ContentPage } from './parse-answers.js';

export interface RemoteDataServerOptions {
  readonly url: URL;
  /** The name of this copy, for people. */
  readonly by: string;
  readonly token?: string | undefined;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
}

/** An answer with the stamps that came with it; a content with what it is made of. */
export interface Answered {
  readonly answer: CycleAnswer;
  readonly stamps: CycleStamps;
  readonly content?: Content;
}

export interface FetchRequest {
  readonly request: RequestId;
  readonly of: ContentKind;
  readonly since: Cycle | null;
  readonly source: string;
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly sentMs: number;
  readonly receivedMs: number;
}

/** The data server, over HTTP. Rejects with `unreachable` when there is no answer that can be used, and says why. */
export class RemoteDataServer {
  readonly #options: RemoteDataServerOptions;
  readonly #origin: string;

  constructor(options: RemoteDataServerOptions) {
    this.#options = options;
    this.#origin = options.url.origin;
  }

  async ask(what: 'table' | 'roll', signal: AbortSignal): Promise<Answered> {
    const reply =
      what === 'table'
        ? await this.#send('GET', '/v1/cycle', { signal })
        : await this.#send('POST', '/v1/cycle/roll', { signal, body: { by: this.#options.by } });
    if (reply.status === 409) {
      const locked = parseLocked(reply.body);
      if (locked !== null) {
        const { holder, untilMs } = locked;
        return { answer: { kind: 'locked', holder, untilMs }, stamps: stampsOf(locked.clock, reply) };
      }
    }
    const parsed = reply.status === 200 ? parseTable(reply.body) : null;
    if (parsed === null) throw this.#refused(reply, 'a table of cycles');
    return {
      answer: { kind: 'table', table: parsed.table, rolled: parsed.rolled },
      stamps: stampsOf(parsed.clock, reply),
    };
  }

  /** All pages of one content. */
  async fetch({ of, since, source }: FetchRequest, signal: AbortSignal): Promise<Answered> {
    const asked = since === null ? '' : `since=${since}&source=${encodeURIComponent(source)}`;
    let first: { readonly page: ContentPage; readonly stamps: CycleStamps } | null = null;
    const keys: string[] = [];
    const values: unknown[] = [];
    const deletes: number[] = [];
    let bytes = 0;
    let next: string | null = null;
    do {
      const more: string = first === null ? '' : `&cycle=${first.page.cycle}&after=${encodeURIComponent(next ?? '')}`;
      const reply: Reply = await this.#send('GET', `/v1/cycle/${of}?${asked}${more}`, {
        signal,
        onBytes: (received) => (bytes += received) <= bounds.maxContentBytes,
      });
      const page = reply.status === 200 ? parseContentPage(reply.body) : null;
      if (page === null) throw this.#refused(reply, `the ${of} content`);
      if (first === null) first = { page, stamps: stampsOf(page.clock, reply) };
      else if (page.cycle !== first.page.cycle || page.source !== first.page.source || page.from !== first.page.from)
        throw new LockstepError('unreachable', `${this.#origin} gave pages of different contents`);
      for (const place of page.columns.deletes) deletes.push(keys.length + place);
      for (const key of page.columns.keys) keys.push(key);
      for (const value of page.columns.values) values.push(value);
      if (page.next !== null && page.columns.keys.length === 0)
        throw new LockstepError('unreachable', `${this.#origin} gave an empty page, and says that there are more`);
      next = page.next;
    } while (next !== null);
    const { cycle, from, activateAtMs } = first.page;
    return {
      answer: {
        kind: 'content',
        source: first.page.source,
        cycle,
        activateAtMs,
        from,
        changes: keys.length,
      },
      stamps: first.stamps,
      content: { source: first.page.source, cycle, from, columns: { keys, values, deletes } },
    };
  }

  async reportRetrieval(
    { cycle, durationMs }: { readonly cycle: Cycle; readonly durationMs: number },
    signal: AbortSignal,
  ): Promise<void> {
    const body = { by: this.#options.by, cycle, durationMs: Math.round(durationMs) };
    await this.#report('/v1/cycle/retrievals', body, signal);
  }

  async reportActivation({ cycle, reachedMs, errorMs, late }: Activation, signal: AbortSignal): Promise<void> {
    await this.#report('/v1/cycle/activations', { by: this.#options.by, cycle, reachedMs, errorMs, late }, signal);
  }

  async #report(path: string, body: object, signal: AbortSignal): Promise<void> {
    const reply = await this.#send('POST', path, { signal, body });
    if (reply.status >= 300) throw this.#refused(reply, 'an acknowledgement');
  }

  async #send(
    method: 'GET' | 'POST',
    path: string,
    options: {
      readonly signal: AbortSignal;
      readonly body?: object;
      /** Absent: the whole answer has to come within the time of one about the table. */
      readonly onBytes?: (received: number) => boolean;
    },
  ): Promise<Reply> {
    const { clock, token } = this.#options;
    const idle = new AbortController();
    const patienceMs = options.onBytes === undefined ? bounds.askTimeoutMs : bounds.idleMs;
    let timer = setTimeout(() => idle.abort(), patienceMs);
    const sentMs = clock.monotonicMs();
    try {
      const response = await this.#options.fetch(`${this.#origin}${path}`, {
        method,
        headers: {
          accept: 'application/json',
          ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
        signal: AbortSignal.any([options.signal, idle.signal]),
      });
      const receivedMs = clock.monotonicMs();
      const chunks: Uint8Array[] = [];
      for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
        if (options.onBytes !== undefined) {
          clearTimeout(timer);
          timer = setTimeout(() => idle.abort(), patienceMs);
          if (!options.onBytes(chunk.byteLength))
            throw new LockstepError('unreachable', `the content is larger than ${bounds.maxContentBytes} bytes`);
        }
        chunks.push(chunk);
      }
      return { status: response.status, body: parseJson(Buffer.concat(chunks).toString('utf8')), sentMs, receivedMs };
    } catch (error) {
      if (error instanceof LockstepError) throw error;
      const why = idle.signal.aborted ? `gave no answer for ${patienceMs} ms` : `did not answer (${rootCause(error)})`;
      throw new LockstepError('unreachable', `the data server ${this.#origin} ${why}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  #refused({ status, body }: Reply, wanted: string): LockstepError {
    const problem = parseProblem(body);
    const why = problem === null ? `answered ${status} without ${wanted}` : `answered ${status}: ${problem}`;
    return new LockstepError('unreachable', `the data server ${this.#origin} ${why}`);
  }
}

function stampsOf(
  clock: { readonly id: string; readonly receivedMs: number; readonly sentMs: number },
  { sentMs, receivedMs }: Reply,
): CycleStamps {
  return { clockId: clock.id, sentMs, receivedMs, remoteReceivedMs: clock.receivedMs, remoteSentMs: clock.sentMs };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function rootCause(error: unknown): string {
  return error instanceof Error && error.cause !== undefined ? rootCause(error.cause) : errorText(error);
}
