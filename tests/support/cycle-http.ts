import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { RemoteResult } from '../../activation/copy/follower.js';
import { ModelDataServer } from './cycle-world.js';

/** A data server by the book behind HTTP, in real time, for tests of what asks one. Its clock is hours away. */
export class HttpDataServer implements AsyncDisposable {
  readonly model: ModelDataServer;
  /** `GET /v1/cycle`, in order. */
  readonly requests: string[] = [];
  readonly authorizations: (string | undefined)[] = [];
  /** Changes in one page. */
  pageChanges = 1000;
  /** Answers with this instead, when it isn't null. */
  nonsense: { readonly status: number; readonly body: string } | null = null;
  readonly #server: Server;

  private constructor(options: { readonly firstInMs: number; readonly intervalMs: number }) {
    const time = {
      get nowMs() {
        return performance.now();
      },
    };
    this.model = new ModelDataServer(time, { offsetMs: 1_700_000_000_000, rate: 0 }, options);
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(options: { readonly firstInMs: number; readonly intervalMs: number }): Promise<HttpDataServer> {
    const started = new HttpDataServer(options);
    started.#server.listen(0, '127.0.0.1');
    await once(started.#server, 'listening');
    return started;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://x');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    this.requests.push(`${request.method} ${url.pathname}${url.search}`);
    this.authorizations.push(request.headers.authorization);
    const body = chunks.length === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
    const { status, answer } = this.#answer(`${request.method} ${url.pathname}`, url.searchParams, body);
    if (this.nonsense !== null) {
      response.writeHead(this.nonsense.status).end(this.nonsense.body);
      return;
    }
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  #answer(
    route: string,
    query: URLSearchParams,
    body: Record<string, unknown>,
  ): { readonly status: number; readonly answer: unknown } {
    const { model } = this;
    const by = String(body['by']);
    switch (route) {
      case 'GET /v1/cycle':
        return this.#body(model.table());
      case 'POST /v1/cycle/roll':
        return this.#body(model.roll(by));
      case 'GET /v1/cycle/staged':
      case 'GET /v1/cycle/active': {
        const since = query.get('since');
        const of = route.endsWith('staged') ? 'staged' : 'active';
        const result = model.content(of, since === null ? null : Number(since), query.get('source') ?? '');
        return this.#page(result, query.get('after'));
      }
      case 'POST /v1/cycle/retrievals':
        model.retrievals.push({ by, cycle: Number(body['cycle']), durationMs: Number(body['durationMs']) });
        return { status: 200, answer: {} };
      default:
        return { status: 404, answer: { error: { code: 'route-unknown', message: `no route ${route}` } } };
    }
  }

  #body(result: RemoteResult): { readonly status: number; readonly answer: unknown } {
    if (!result.ok || result.answer.kind === 'content') return refused(result.ok ? 'a content' : result.reason);
    const clock = clockOf(result);
    if (result.answer.kind === 'locked') {
      const { holder, untilMs } = result.answer;
      const error = { code: 'locked', message: `${holder} rolls` };
      return { status: 409, answer: { error, lock: { holder, untilMs }, clock } };
    }
    const { activeCycle, ...table } = result.answer.table;
    return {
      status: 200,
      answer: { ...table, active: { cycle: activeCycle, activatedAtMs: null }, rolled: result.answer.rolled, clock },
    };
  }

  #page(result: RemoteResult, after: string | null): { readonly status: number; readonly answer: unknown } {
    if (!result.ok || result.answer.kind !== 'content' || result.content === undefined)
      return refused(result.ok ? 'no content' : result.reason);
    const { source, cycle, activateAtMs, from } = result.answer;
    const { keys, values, deletes } = result.content.columns;
    const first = after === null ? 0 : Number(after);
    const last = Math.min(keys.length, first + this.pageChanges);
    const changes = keys
      .slice(first, last)
      .map((key, place) => (deletes.includes(first + place) ? { delete: key } : { put: [key, values[first + place]] }));
    const next = last < keys.length ? String(last) : null;
    return { status: 200, answer: { source, cycle, activateAtMs, from, changes, next, clock: clockOf(result) } };
  }
}

function clockOf({ stamps }: Extract<RemoteResult, { ok: true }>): object {
  return { id: stamps.clockId, receivedMs: stamps.remoteReceivedMs, sentMs: stamps.remoteSentMs };
}

function refused(reason: string): { readonly status: number; readonly answer: unknown } {
  return { status: 503, answer: { error: { code: 'unavailable', message: reason } } };
}
