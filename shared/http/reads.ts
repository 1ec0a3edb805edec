import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Tip } from '../protocol/kernel/ids.js';
import { versionOf } from '../protocol/kernel/ids.js';
import type { Entry, Json } from '../protocol/key-value/operations.js';
import type { EntriesBody, EntryBody, PageBody, ReadsBody } from './bodies.js';
import { httpBounds } from './bounds.js';
import { parseKey, parsePageQuery, parseReads, parseWaitQuery, type WaitQuery } from './input.js';
import { sendProblem, type Parsed, type Problem } from './problem.js';

/** What the read routes need of a data set, on either side. */
export interface ReadableDataSet {
  readonly tip: Tip | null;
  readonly isCurrent: boolean;
  entry(key: string): Entry<Json> | undefined;
  list(options: { readonly prefix?: string; readonly after?: string; readonly limit?: number }): readonly Entry<Json>[];
  /** Resolves when the version, or a later one, can be read here; rejects with `timed-out`. */
  reached(version: number, options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<unknown>;
}

export type FindDataSet<DataSet> = (name: string) => Parsed<DataSet>;

export function dataSetFinder<DataSet>(dataSets: ReadonlyMap<string, DataSet>): FindDataSet<DataSet> {
  return (name) => {
    const dataSet = dataSets.get(name);
    if (dataSet !== undefined) return { ok: true, value: dataSet };
    const known = [...dataSets.keys()].join(', ');
    const problem: Problem = {
      status: 404,
      code: 'data-set-unknown',
      message: `data set ${name} isn't registered here; there is ${known}`,
      field: 'dataSet',
    };
    return { ok: false, problem };
  };
}

/** The digest of a copy's contents: always of a small one, of a large one for `?digest=true`. */
export function digestFor(
  request: FastifyRequest,
  dataSet: { readonly size: number; stateDigest(): string },
): string | null {
  const { query } = request;
  const isAsked = typeof query === 'object' && query !== null && 'digest' in query && query.digest === 'true';
  return isAsked || dataSet.size <= httpBounds.promptDigestEntries ? dataSet.stateDigest() : null;
}

/** `GET /v1/data/…` and `POST /v1/reads/…`: each answer is at one version, named in its headers. */
export function addReadRoutes(server: FastifyInstance, find: FindDataSet<ReadableDataSet>): void {
  server.get<{ Params: { dataSet: string; key: string } }>('/v1/data/:dataSet/:key', async (request, reply) => {
    const dataSet = find(request.params.dataSet);
    if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
    const key = parseKey(request.params.key, 'key');
    if (!key.ok) return sendProblem(reply, key.problem);
    const wait = parseWaitQuery(request.query);
    if (!wait.ok) return sendProblem(reply, wait.problem);
    await waitFor(dataSet.value, wait.value, request, reply);
    const entry = dataSet.value.entry(key.value);
    nameVersion(reply, dataSet.value);
    if (entry === undefined) return sendProblem(reply, unknownKey(key.value, dataSet.value.tip));
    return reply.send(entryBody(entry));
  });

  server.get<{ Params: { dataSet: string } }>('/v1/data/:dataSet', async (request, reply) => {
    const dataSet = find(request.params.dataSet);
    if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
    const query = parsePageQuery(request.query);
    if (!query.ok) return sendProblem(reply, query.problem);
    await waitFor(dataSet.value, query.value, request, reply);
    const { prefix, after, limit } = query.value;
    // One more than asked tells whether there is another page.
    const found = dataSet.value.list({
      limit: limit + 1,
      ...(prefix === undefined ? {} : { prefix }),
      ...(after === undefined ? {} : { after }),
    });
    const entries = found.slice(0, limit);
    nameVersion(reply, dataSet.value);
    const next = found.length > limit ? (entries.at(-1)?.key ?? null) : null;
    const body: PageBody = { ...entriesBody(dataSet.value.tip, entries), next };
    return reply.send(body);
  });

  server.post<{ Params: { dataSet: string } }>(
    '/v1/reads/:dataSet',
    { bodyLimit: httpBounds.readBodyBytes },
    async (request, reply) => {
      const dataSet = find(request.params.dataSet);
      if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
      const keys = parseReads(request.body);
      if (!keys.ok) return sendProblem(reply, keys.problem);
      const wait = parseWaitQuery(request.query);
      if (!wait.ok) return sendProblem(reply, wait.problem);
      await waitFor(dataSet.value, wait.value, request, reply);
      const entries: Entry<Json>[] = [];
      const missing: string[] = [];
      for (const key of keys.value) {
        const entry = dataSet.value.entry(key);
        if (entry === undefined) missing.push(key);
        else entries.push(entry);
      }
      nameVersion(reply, dataSet.value);
      const body: ReadsBody = { ...entriesBody(dataSet.value.tip, entries), missing };
      return reply.send(body);
    },
  );
}

/** Rejects with `timed-out`, and names the version that there is. The wait ends when the caller goes away. */
async function waitFor(
  dataSet: ReadableDataSet,
  wait: WaitQuery,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  if (wait.minVersion === undefined || versionOf(dataSet.tip) >= wait.minVersion) return;
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  request.raw.socket.once('close', onClose);
  try {
    await dataSet.reached(wait.minVersion, { timeoutMs: wait.timeoutMs, signal: gone.signal });
  } catch (error) {
    nameVersion(reply, dataSet);
    throw error;
  } finally {
    request.raw.socket.off('close', onClose);
  }
}

export function nameVersion(reply: FastifyReply, dataSet: Pick<ReadableDataSet, 'tip' | 'isCurrent'>): void {
  reply.header('lockstep-epoch', String(dataSet.tip?.epoch.number ?? 0));
  reply.header('lockstep-version', String(versionOf(dataSet.tip)));
  reply.header('lockstep-current', String(dataSet.isCurrent));
}

function entriesBody(tip: Tip | null, entries: readonly Entry<Json>[]): EntriesBody {
  return { epoch: tip?.epoch.number ?? 0, version: versionOf(tip), entries: entries.map(entryBody) };
}

function entryBody(entry: Entry<Json>): EntryBody {
  return { key: entry.key, value: entry.value, version: entry.version };
}

function unknownKey(key: string, tip: Tip | null): Problem {
  return {
    status: 404,
    code: 'key-unknown',
    message: `there is no key ${key} at version ${versionOf(tip)}`,
    field: 'key',
  };
}
