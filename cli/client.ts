import { errorCodes, errorText, LockstepError, type ErrorCode } from '../shared/protocol/kernel/errors.js';
import type { Json, Operation } from '../shared/protocol/key-value/operations.js';
import type { ChangeInputOptions } from '../shared/http/input.js';
import type {
  CancellationBody,
  EntryBody,
  FilesBody,
  OutcomeBody,
  PageBody,
  PublishBody,
  ResolvedBody,
  RoundsBody,
  StatusBody,
  TipBody,
} from '../shared/http/bodies.js';
import { askStatus, whatItIs, type NodeStatus } from './node-status.js';

/** As it travels: an instant is a text. */
export type ChangeRequestOptions = Omit<ChangeInputOptions, 'activateAt'> & { readonly activateAt?: string };

export interface ChangeRequest {
  readonly dataSet: string;
  readonly operations: readonly Operation<Json>[];
  readonly options: ChangeRequestOptions;
  /** Names the change, so that it can be asked about when its answer is lost. */
  readonly idempotencyKey: string;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Beyond the round's own deadline, a change may wait in the master's queue. */
const queueAllowanceMs = 30_000;
const defaultRoundMs = 2000;
const requestMs = 10_000;
/** A folder is read and copied before its round begins, and its round may take this long by default. */
const publishMs = 90_000;
/** How often, and at what distance, a lost answer is asked for. */
const resolveAttempts = 8;
const resolvePauseMs = 250;
/** For codes that are a program's own: it isn't there; it doesn't fit what is so now. */
const codeOfStatus: Readonly<Record<number, ErrorCode>> = { 404: 'bad-input', 409: 'condition-failed' };
/** No packet of the request can have left: nothing happened. */
const neverConnected = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Talks to one node over HTTP. Rejects with a `LockstepError`: `unreachable`, or the code that the node answered. */
export class Client {
  readonly url: string;
  readonly #fetch: typeof fetch;
  readonly #token: string | undefined;
  readonly #pause: (pauseMs: number) => Promise<void>;

  constructor(options: {
    readonly url: URL;
    readonly fetch: typeof fetch;
    readonly token?: string;
    readonly pause?: (pauseMs: number) => Promise<void>;
  }) {
    this.url = options.url.origin;
    this.#fetch = options.fetch;
    this.#token = options.token;
    this.#pause = options.pause ?? ((pauseMs) => new Promise((resolve) => setTimeout(resolve, pauseMs)));
  }

  /** Of whatever is there: a node, a copy of a pull cycle, or its data server. */
  nodeStatus(): Promise<NodeStatus> {
    return askStatus((path) => this.#ok('GET', path), this.url);
  }

  /** Of a master or a slave. */
  async status(): Promise<StatusBody> {
    const status = await this.nodeStatus();
    if (status.kind === 'node') return status.body;
    throw new LockstepError(
      'wrong-kind',
      `${whatItIs(status, this.url)}, and this command is for masters and slaves; lockstep status shows it, lockstep cycle --help says what else there is`,
    );
  }

  /** The data set that a command means when it names none: the only one there is, or `default`. */
  async soleDataSet(): Promise<string> {
    const status = await this.nodeStatus();
    // It serves the same reads, and says itself where changes go.
    if (status.kind === 'cycle-copy') return status.body.dataSet;
    const names = (status.kind === 'node' ? status.body : await this.status()).dataSets.map(({ dataSet }) => dataSet);
    if (names.length === 1 && names[0] !== undefined) return names[0];
    if (names.includes('default')) return 'default';
    throw new LockstepError('bad-option', `--data-set is needed: ${this.url} has ${names.join(', ')}`);
  }

  /** Null: there is no such key. */
  async read(dataSet: string, key: string): Promise<{ readonly entry: EntryBody | null; readonly message: string }> {
    const answer = await this.#request('GET', `/v1/data/${encodeURIComponent(dataSet)}/${encodeURIComponent(key)}`);
    if (answer.status === 200) return { entry: answer.body as EntryBody, message: '' };
    const error = this.#errorOf(answer);
    if (answer.status === 404 && codeIn(answer) === 'key-unknown') return { entry: null, message: error.message };
    throw error;
  }

  /** The operator's word on a round in doubt, at a slave. */
  async resolve(
    dataSet: string,
    round: string,
    decision: { readonly outcome: 'commit' | 'abort'; readonly by: string },
  ): Promise<ResolvedBody> {
    const path = `/v1/in-doubt/${encodeURIComponent(dataSet)}/${encodeURIComponent(round)}`;
    return (await this.#ok('POST', path, { ...decision, iUnderstand: true })) as ResolvedBody;
  }

  /** The operator's word on a diverged copy, at a slave. */
  async discard(dataSet: string): Promise<{ readonly was: TipBody | null }> {
    return (await this.#ok('POST', `/v1/data/${encodeURIComponent(dataSet)}/discard`)) as { was: TipBody | null };
  }

  /** One page, at one version. */
  async page(dataSet: string, options: { readonly limit: number; readonly after?: string }): Promise<PageBody> {
    const after = options.after === undefined ? '' : `&after=${encodeURIComponent(options.after)}`;
    return (await this.#ok(
      'GET',
      `/v1/data/${encodeURIComponent(dataSet)}?limit=${options.limit}${after}`,
    )) as PageBody;
  }

  /** The newest rounds, newest first. */
  async rounds(dataSet: string, limit: number): Promise<RoundsBody> {
    return (await this.#ok('GET', `/v1/rounds/${encodeURIComponent(dataSet)}?limit=${limit}`)) as RoundsBody;
  }

  async rollBack(dataSet: string, version: number): Promise<void> {
    await this.#ok('POST', `/v1/rounds/${encodeURIComponent(dataSet)}/${version}/roll-back`);
  }

  /** Takes a scheduled change back. A cancellation that failed is an answer too. */
  async cancelActivation(dataSet: string, version: number, timeoutMs: number | undefined): Promise<CancellationBody> {
    const path = `/v1/armed/${encodeURIComponent(dataSet)}/${version}/cancel`;
    const body = timeoutMs === undefined ? {} : { timeoutMs };
    const answer = await this.#request('POST', path, { body, timeoutMs: (timeoutMs ?? 0) + requestMs });
    if (isObject(answer.body) && typeof answer.body['outcome'] === 'string')
      return answer.body as unknown as CancellationBody;
    throw this.#errorOf(answer);
  }

  /**
   * The lines of an answer that may never end, as they come. Rejects with `unreachable` when the connection is cut, or
   * when nothing came for `idleMs`; ends when the node ends it, or when the signal aborts.
   */
  async *lines(
    path: string,
    { signal, idleMs }: { readonly signal: AbortSignal; readonly idleMs: number },
  ): AsyncGenerator<string> {
    const idle = new AbortController();
    let timer = setTimeout(() => idle.abort(), idleMs);
    const headers = { accept: 'application/x-ndjson', ...this.#authorization() };
    try {
      const response = await this.#fetch(`${this.url}${path}`, {
        headers,
        signal: AbortSignal.any([signal, idle.signal]),
      });
      if (response.status !== 200)
        throw this.#errorOf({ status: response.status, body: parseJson(await response.text()) });
      const decoder = new TextDecoder();
      let rest = '';
      for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
        clearTimeout(timer);
        timer = setTimeout(() => idle.abort(), idleMs);
        const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        yield* lines;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof LockstepError) throw error;
      throw this.#failure('GET', error, idleMs);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What has no method of its own here. Rejects unless it is answered with 200. */
  ask(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<unknown> {
    return this.#ok(method, path, body);
  }

  async forget(dataSet: string, node: string): Promise<void> {
    await this.#ok('POST', `/v1/members/${encodeURIComponent(dataSet)}/${encodeURIComponent(node)}/forget`);
  }

  /** What a publish would change. */
  async difference(dataSet: string): Promise<FilesBody> {
    const answer = await this.#request('GET', `/v1/publish/${encodeURIComponent(dataSet)}`, { timeoutMs: publishMs });
    if (answer.status !== 200) throw this.#errorOf(answer);
    return answer.body as FilesBody;
  }

  /** May be called again when its answer was lost: a folder that was published is not published twice. */
  async publish(
    dataSet: string,
    options: ChangeRequestOptions & { readonly allowEmpty?: boolean },
  ): Promise<PublishBody> {
    const path = `/v1/publish/${encodeURIComponent(dataSet)}`;
    const timeoutMs = (options.timeoutMs ?? 0) + publishMs;
    const answer = await this.#request('POST', path, { body: options, timeoutMs });
    if (isOutcome(answer.body) || (isObject(answer.body) && answer.body['outcome'] === 'unchanged'))
      return answer.body as PublishBody;
    throw this.#errorOf(answer);
  }

  /** Every change ends in an outcome, also when the connection is cut: then the master is asked what became of it. */
  async change(change: ChangeRequest): Promise<OutcomeBody> {
    const path = `/v1/changes/${encodeURIComponent(change.dataSet)}`;
    const timeoutMs = (change.options.timeoutMs ?? defaultRoundMs) + queueAllowanceMs;
    const body = { operations: change.operations, ...change.options };
    let answer: Answer;
    try {
      answer = await this.#request('POST', path, { body, timeoutMs, idempotencyKey: change.idempotencyKey });
    } catch (error) {
      if (error instanceof LockstepError && error.code === 'timed-out') return this.#resolve(change, error.message);
      throw error;
    }
    if (isOutcome(answer.body)) return answer.body;
    if (answer.status >= 500 && answer.status !== 503) return this.#resolve(change, this.#errorOf(answer).message);
    throw this.#errorOf(answer);
  }

  async #resolve(change: ChangeRequest, reason: string): Promise<OutcomeBody> {
    const path = `/v1/changes/${encodeURIComponent(change.dataSet)}/${encodeURIComponent(change.idempotencyKey)}`;
    for (let attempt = 0; attempt < resolveAttempts; attempt += 1) {
      if (attempt > 0) await this.#pause(resolvePauseMs * attempt);
      try {
        const { body } = await this.#request('GET', path);
        if (isOutcome(body) && body.outcome !== 'pending' && body.outcome !== 'unknown') return body;
      } catch {
        // The master may be restarting: asked again, then reported as unknown.
      }
    }
    return { outcome: 'unknown', reason: `${reason}; ask later: GET ${this.url}${path}`, durationMs: 0 };
  }

  async #ok(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await this.#request(method, path, body === undefined ? {} : { body });
    if (answer.status !== 200) throw this.#errorOf(answer);
    return answer.body;
  }

  async #request(
    method: string,
    path: string,
    options: { readonly body?: unknown; readonly timeoutMs?: number; readonly idempotencyKey?: string } = {},
  ): Promise<Answer> {
    const headers: Record<string, string> = { accept: 'application/json', ...this.#authorization() };
    if (options.body !== undefined) headers['content-type'] = 'application/json';
    if (options.idempotencyKey !== undefined) headers['idempotency-key'] = options.idempotencyKey;
    const timeoutMs = options.timeoutMs ?? requestMs;
    try {
      const response = await this.#fetch(`${this.url}${path}`, {
        method,
        headers,
        signal: AbortSignal.timeout(timeoutMs),
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      });
      return { status: response.status, body: parseJson(await response.text()) };
    } catch (error) {
      throw this.#failure(method, error, timeoutMs);
    }
  }

  #authorization(): Record<string, string> {
    return this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
  }

  #failure(method: string, error: unknown, timeoutMs: number): LockstepError {
    const cause = causeCode(error);
    if (neverConnected.has(cause)) {
      return new LockstepError(
        'unreachable',
        `nobody answers at ${this.url} (${cause}); start a node there, or name one with --to URL`,
        { cause: error },
      );
    }
    if (rootCause(error) === 'bad port') {
      return new LockstepError(
        'bad-option',
        `--to ${this.url} has a port that HTTP clients refuse to use; give the node another one with --http`,
        { cause: error },
      );
    }
    const why =
      error instanceof DOMException && ['TimeoutError', 'AbortError'].includes(error.name)
        ? `gave no answer within ${timeoutMs} ms`
        : `cut the connection (${cause === '' ? rootCause(error) : cause})`;
    // A read that got no answer changed nothing; a change may have.
    return new LockstepError(method === 'GET' ? 'unreachable' : 'timed-out', `${this.url} ${why}`, { cause: error });
  }

  #errorOf(answer: Answer): LockstepError {
    const code = codeIn(answer);
    const detail = isObject(answer.body) ? answer.body['error'] : undefined;
    const message = isObject(detail) ? detail['message'] : undefined;
    if (typeof message !== 'string') {
      return new LockstepError(
        'unreachable',
        `${this.url} is no lockstep node: it answered ${answer.status} without a reason; check --to`,
      );
    }
    if (code === 'unauthenticated')
      return new LockstepError(
        'bad-option',
        `${this.url} wants a token that it knows; give --token-file, or set LOCKSTEP_TOKEN`,
      );
    if (code === 'route-unknown')
      return new LockstepError(
        'wrong-kind',
        `${this.url} has nothing of the kind (${message}); what is there shows: lockstep status --to ${this.url}`,
      );
    if (code === 'forbidden') return new LockstepError('bad-option', message);
    if (answer.status === 410) return new LockstepError('history-pruned', message);
    return new LockstepError(knownCode(code) ?? codeOfStatus[answer.status] ?? 'unreachable', message);
  }
}

function codeIn(answer: Answer): string {
  const detail = isObject(answer.body) ? answer.body['error'] : undefined;
  const code = isObject(detail) ? detail['code'] : undefined;
  return typeof code === 'string' ? code : '';
}

function knownCode(code: string): ErrorCode | null {
  return errorCodes.find((known) => known === code) ?? null;
}

function isOutcome(body: unknown): body is OutcomeBody {
  const outcome = isObject(body) ? body['outcome'] : undefined;
  return ['committed', 'armed', 'aborted', 'unknown', 'pending'].some((each) => each === outcome);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
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

/** The system's code, which `fetch` wraps once or twice. */
function causeCode(error: unknown): string {
  for (let cause: unknown = error, depth = 0; cause instanceof Error && depth < 4; cause = cause.cause, depth += 1) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code;
    if (cause instanceof AggregateError) {
      const first: unknown = cause.errors[0];
      if (first instanceof Error && 'code' in first && typeof first.code === 'string') return first.code;
    }
  }
  return '';
}
