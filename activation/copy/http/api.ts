import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Entry, Json } from '../../../shared/protocol/key-value/operations.js';
import { addOpenApiRoute } from '../../../shared/http/openapi/document.js';
import { addReadRoutes, dataSetFinder, digestFor, type ReadableDataSet } from '../../../shared/http/reads.js';
import { addHealthRoutes } from '../../../shared/http/ready.js';
import { tipOf } from '../content.js';
import type { CycleCopy } from '../cycle-copy.js';
import type { CycleCopyStatusBody } from './bodies.js';

/** What the routes need of a copy. */
export type ServedCycleCopy = Pick<
  CycleCopy,
  'name' | 'cycle' | 'state' | 'size' | 'get' | 'has' | 'list' | 'digest' | 'reached' | 'view'
>;

export interface CycleCopyApi {
  /** Null until it is open: nothing asks for it before. */
  readonly copy: () => ServedCycleCopy | null;
  readonly dataSet: string;
  readonly from: string;
}

/** Every route of a copy of a pull cycle: reads as a slave has them, with the cycle as the version, and its account of itself. */
export function addCycleCopyRoutes(server: FastifyInstance, api: CycleCopyApi): void {
  const opened = (): ServedCycleCopy => {
    const copy = api.copy();
    if (copy === null) throw new Error('the copy is asked for before it is open');
    return copy;
  };
  addReadRoutes(server, dataSetFinder(new Map([[api.dataSet, readable(opened)]])));
  refuseWrites(server, api);
  addOpenApiRoute(server, 'cycle-copy');
  server.get('/v1/status', async (request, reply) => reply.send(statusBody(opened(), api, request)));
  addHealthRoutes(server, (mustBeCurrent) => {
    const { active, state, reason } = opened().view();
    const what = active === null ? 'there is no copy yet' : `the copy of cycle ${active} is ${state}`;
    const because = reason === '' || active === null ? '' : `; ${reason}`;
    const isServing = active !== null && state !== 'failed';
    return [{ name: api.dataSet, ok: mustBeCurrent ? state === 'current' : isServing, text: `${what}${because}` }];
  });
}

/** As the read routes want it: every entry is of the cycle that shows, which is the same at all copies. */
function readable(opened: () => ServedCycleCopy): ReadableDataSet {
  const entryOf = (key: string, value: Json): Entry<Json> => ({ key, value, version: opened().cycle ?? 0 });
  return {
    get tip() {
      return tipOf(opened().cycle ?? 0);
    },
    get isCurrent() {
      return opened().state === 'current';
    },
    entry: (key) => {
      const value = opened().get(key);
      return value === undefined ? undefined : entryOf(key, value);
    },
    list: (options) =>
      opened()
        .list(options)
        .map(({ key, value }) => entryOf(key, value)),
    reached: (cycle, options) => opened().reached(cycle, options),
  };
}

/** A copy takes no writes: 421 names who does. */
function refuseWrites(server: FastifyInstance, { from, copy }: CycleCopyApi): void {
  const refuse = async (_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const message = `${copy()?.name ?? 'this'} is a copy of a pull cycle and takes no changes; edit production at the data server, ${from}`;
    return reply.code(421).send({ error: { code: 'write-at-slave', message }, master: from });
  };
  const route = { preParsing: refuse, handler: refuse };
  server.route({ method: ['PUT', 'DELETE'], url: '/v1/data/:dataSet/:key', ...route });
  server.route({ method: 'POST', url: '/v1/changes/:dataSet', ...route });
}

function statusBody(copy: ServedCycleCopy, api: CycleCopyApi, request: FastifyRequest): CycleCopyStatusBody {
  const { state, reason, active, staged, table, readMsAgo, armed, clock, retrieval, lastActivation } = copy.view();
  return {
    node: copy.name,
    role: 'cycle-copy',
    from: api.from,
    dataSet: api.dataSet,
    state,
    reason,
    active,
    staged,
    entries: copy.size,
    stateDigest: digestFor(request, { size: copy.size, stateDigest: () => copy.digest() }),
    table: table === null ? null : { ...table, readMsAgo: roundMs(readMsAgo ?? 0) },
    armed: armed === null ? null : { ...armed, inMs: roundMs(armed.inMs) },
    clock: clock === null ? null : { nowMs: roundMs(clock.nowMs), errorMs: roundMs(clock.errorMs) },
    retrieval,
    lastActivation,
  };
}

function roundMs(valueMs: number): number {
  return Math.round(valueMs * 1000) / 1000;
}
