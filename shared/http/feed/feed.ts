import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ChainId, Tip } from '../../protocol/kernel/ids.js';
import { versionOf } from '../../protocol/kernel/ids.js';
import type { DeltaSource } from '../../runtime/delta-source.js';
import { httpBounds, type HttpBounds } from '../bounds.js';
import { parseFeedQuery } from '../input.js';
import { sendProblem, type Problem } from '../problem.js';
import { nameVersion, type FindDataSet } from '../reads.js';
import { FeedLines } from './lines.js';
import { FeedListener, isExpected, type FeedFormat, type ListenerParts } from './listener.js';
import { aheadText, prunedText, switchedText } from './position.js';

/** What the feed needs of a data set, on either side. */
export interface FollowedDataSet {
  readonly tip: Tip | null;
  readonly isCurrent: boolean;
  readonly deltas: DeltaSource;
}

export type FeedBounds = Pick<HttpBounds, 'feedListeners' | 'feedIdleMs' | 'feedStallMs' | 'feedLineBytes'>;

export interface FeedOptions {
  /** True at the master: no version above its newest one exists. A slave may be asked for one that is still to come. */
  readonly knowsNewest: boolean;
  readonly bounds?: FeedBounds | undefined;
}

/** `GET /v1/feed/{dataSet}`: every committed change from a version on, as lines of JSON or as server-sent events. */
export function addFeedRoute(server: FastifyInstance, find: FindDataSet<FollowedDataSet>, options: FeedOptions): void {
  const feeds = new Feeds(options);
  server.addHook('preClose', async () => {
    feeds.close();
  });
  // A HEAD would be a feed that never ends, and says nothing.
  server.get<{ Params: { dataSet: string } }>('/v1/feed/:dataSet', { exposeHeadRoute: false }, (request, reply) => {
    const dataSet = find(request.params.dataSet);
    if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
    return feeds.open(dataSet.value, request.params.dataSet, request, reply);
  });
}

class Feeds {
  readonly #listeners = new Set<FeedListener>();
  readonly #lines = new Map<string, FeedLines>();
  readonly #bounds: FeedBounds;
  #isClosed = false;

  constructor(private readonly options: FeedOptions) {
    this.#bounds = options.bounds ?? httpBounds;
  }

  open(dataSet: FollowedDataSet, name: string, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const query = parseFeedQuery(request.query, request.headers['last-event-id']);
    if (!query.ok) return sendProblem(reply, query.problem);
    const { since, epoch, chainId } = query.value;
    const expected = {
      ...(epoch === undefined ? {} : { epoch }),
      ...(chainId === undefined ? {} : { chain: chainId as ChainId }),
    };
    const source = dataSet.deltas;
    const problem =
      this.#whyNone() ??
      (since === undefined ? null : whyNotFrom(source, name, since, expected, this.options.knowsNewest));
    if (problem !== null) return sendProblem(reply, problem);
    const format: FeedFormat = (request.headers.accept ?? '').includes('text/event-stream') ? 'sse' : 'ndjson';
    nameVersion(reply, dataSet);
    reply.header('content-type', format === 'sse' ? 'text/event-stream' : 'application/x-ndjson');
    // Neither kept by a cache nor gathered by a proxy.
    reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no');
    const headers = reply.getHeaders();
    reply.hijack();
    const response = reply.raw;
    response.writeHead(200, headers as Record<string, string>);
    const listener: FeedListener = new FeedListener({
      response,
      format,
      dataSet: name,
      source,
      lines: this.#linesOf(name),
      since: since ?? versionOf(source.tip),
      expected,
      idleMs: this.#bounds.feedIdleMs,
      stallMs: this.#bounds.feedStallMs,
      ended: () => {
        this.#listeners.delete(listener);
        if (this.#listeners.size === 0) this.#lines.clear();
      },
    });
    this.#listeners.add(listener);
    return reply;
  }

  close(): void {
    this.#isClosed = true;
    for (const listener of [...this.#listeners])
      listener.end(
        'closed',
        'this node is shutting down; resume here or elsewhere from the version that `since` names',
      );
  }

  #whyNone(): Problem | null {
    if (this.#isClosed) return { status: 503, code: 'closed', message: 'this node is shutting down' };
    if (this.#listeners.size < this.#bounds.feedListeners) return null;
    const message = `${this.#bounds.feedListeners} feeds are open, and no more are at once; close one, or follow another node`;
    return { status: 503, code: 'queue-full', message };
  }

  #linesOf(name: string): FeedLines {
    const lines = this.#lines.get(name) ?? new FeedLines(this.#bounds.feedLineBytes);
    this.#lines.set(name, lines);
    return lines;
  }
}

function whyNotFrom(
  source: DeltaSource,
  dataSet: string,
  since: number,
  expected: ListenerParts['expected'],
  knowsNewest: boolean,
): Problem | null {
  const newest = versionOf(source.tip);
  if (since > newest) return knowsNewest ? gone('history-switched', aheadText(dataSet, since, newest)) : null;
  const known = since === 0 ? null : source.tipAt(since);
  if ((since === 0 || known !== null) && !isExpected(known, expected))
    return gone('history-switched', switchedText(dataSet, since));
  if (source.after(since, 1) === null) return gone('history-pruned', prunedText(dataSet, since, source.oldestVersion));
  // At the master a version that its chain doesn't name, though its changes are here, is none of its states.
  const isNamed = known !== null || since === 0 || Object.keys(expected).length === 0;
  return isNamed || !knowsNewest ? null : gone('history-switched', switchedText(dataSet, since));
}

function gone(code: 'history-pruned' | 'history-switched', message: string): Problem {
  return { status: 410, code, message: `since: ${message}`, field: 'since' };
}
