import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Json } from '../../shared/protocol/key-value/operations.js';
import { roundKey, showTip } from '../../shared/protocol/kernel/ids.js';
import {
  clockBody,
  roundMs,
  roundMsOrNull,
  tipBody,
  vetoBody,
  type ReadyCheckBody,
  type ResolvedBody,
  type SlaveDataSetBody,
  type NetworkBody,
  type StatusBody,
  instantText,
  type ArmedHereBody,
} from '../../shared/http/bodies.js';
import { addFeedRoute, type FeedBounds } from '../../shared/http/feed/feed.js';
import { addOpenApiRoute } from '../../shared/http/openapi/document.js';
import { addHealthRoutes } from '../../shared/http/ready.js';
import { parseResolve } from '../../shared/http/input.js';
import { sendProblem } from '../../shared/http/problem.js';
import { addReadRoutes, dataSetFinder, digestFor, type ReadableDataSet } from '../../shared/http/reads.js';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { ArmedHereView } from '../service/core/view.js';
import type { OperatorDecision } from '../service/core/records.js';
import type { SlaveKeyValue } from '../user/key-value-types.js';

/** What the routes need of a key-value copy; the handle that `register` returns is one. */
export type ServedCopy = Pick<SlaveKeyValue<Json>, 'tip' | 'state' | 'size' | 'entry' | 'list' | 'reached'> & {
  readonly dataSet: Pick<SlaveKeyValue<Json>['dataSet'], 'view' | 'discard' | 'resolve' | 'deltas'>;
  stateDigest(): string;
};

export interface SlaveApi {
  readonly node: string;
  /** How the node reaches the others. */
  readonly network?: () => NetworkBody | null;
  readonly dataSets: ReadonlyMap<string, ServedCopy>;
  /** Default: those of `httpBounds`. */
  readonly feedBounds?: FeedBounds;
}

/** Every route of a slave: reads, its account of itself, and the operator's word on a diverged copy. */
export function addSlaveRoutes(server: FastifyInstance, api: SlaveApi): void {
  const find = dataSetFinder(api.dataSets);
  addReadRoutes(server, (name) => {
    const dataSet = find(name);
    return dataSet.ok ? { ok: true, value: readableCopy(dataSet.value) } : dataSet;
  });
  addFeedRoute(
    server,
    (name) => {
      const dataSet = find(name);
      if (!dataSet.ok) return dataSet;
      const { tip, isCurrent } = readableCopy(dataSet.value);
      return { ok: true, value: { tip, isCurrent, deltas: dataSet.value.dataSet.deltas } };
    },
    { knowsNewest: false, bounds: api.feedBounds },
  );
  refuseWrites(server, api);
  server.post<{ Params: { dataSet: string } }>('/v1/data/:dataSet/discard', async (request, reply) => {
    const dataSet = find(request.params.dataSet);
    if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
    const { state, tip } = dataSet.value;
    if (state !== 'diverged') {
      const message = `this copy is ${state} at ${showTip(tip)}; only a diverged copy is discarded`;
      return sendProblem(reply, { status: 409, code: 'bad-operation', message });
    }
    await dataSet.value.dataSet.discard();
    return reply.send({ discarded: request.params.dataSet, was: tipBody(tip) });
  });
  addResolve(server, api);
  addOpenApiRoute(server, 'slave');
  server.get('/v1/status', async (request, reply) => reply.send(statusBody(api, request)));
  addHealthRoutes(server, (mustBeCurrent) => readyChecks(api, mustBeCurrent));
}

/** The operator decides a round in doubt in the place of a master that can't. */
function addResolve(server: FastifyInstance, api: SlaveApi): void {
  const find = dataSetFinder(api.dataSets);
  server.post<{ Params: { dataSet: string; round: string } }>(
    '/v1/in-doubt/:dataSet/:round',
    async (request, reply) => {
      const dataSet = find(request.params.dataSet);
      if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
      const input = parseResolve(request.body);
      if (!input.ok) return sendProblem(reply, input.problem);
      const { round } = request.params;
      const { inDoubt } = dataSet.value.dataSet.view();
      if (!inDoubt.some((each) => roundKey(each.round) === round)) {
        const open = inDoubt.map((each) => roundKey(each.round)).join(', ');
        const message = `round ${round} is not in doubt at ${api.node}; ${open === '' ? 'no round is' : `in doubt is ${open}`}`;
        return sendProblem(reply, { status: 404, code: 'round-unknown', message, field: 'round' });
      }
      try {
        await dataSet.value.dataSet.resolve(round, input.value.outcome, input.value.by);
      } catch (error) {
        if (!(error instanceof LockstepError) || error.code !== 'bad-operation') throw error;
        return sendProblem(reply, { status: 409, code: 'bad-operation', message: error.message });
      }
      const resolved = dataSet.value.dataSet.view().resolved.find((each) => roundKey(each.round) === round);
      return reply.send(resolved === undefined ? {} : resolvedBody(resolved));
    },
  );
}

function resolvedBody({ round, to, outcome, by, wallMs }: OperatorDecision): ResolvedBody {
  return { round: roundKey(round), version: to.version, outcome, by, at: new Date(wallMs).toISOString() };
}

/** A slave takes no writes: 421 names who does. */
function refuseWrites(server: FastifyInstance, api: SlaveApi): void {
  const refuse = async (
    request: FastifyRequest<{ Params: { dataSet: string } }>,
    reply: FastifyReply,
  ): Promise<FastifyReply> => {
    const dataSet = api.dataSets.get(request.params.dataSet);
    const heard =
      [...api.dataSets.values()].map((copy) => copy.dataSet.view().master).find((node) => node !== null) ?? null;
    const master = dataSet === undefined ? heard : dataSet.dataSet.view().master;
    const where = master === null ? 'its master, which it does not hear now' : `its master, ${master}`;
    return reply.code(421).send({
      error: { code: 'write-at-slave', message: `${api.node} is a slave and takes no changes; send them to ${where}` },
      master,
    });
  };
  const route = { preParsing: refuse, handler: refuse };
  server.route({ method: ['PUT', 'DELETE'], url: '/v1/data/:dataSet/:key', ...route });
  server.route({ method: 'POST', url: '/v1/changes/:dataSet', ...route });
  server.route({ method: 'POST', url: '/v1/members/:dataSet/:node/forget', ...route });
}

function readableCopy(dataSet: ServedCopy): ReadableDataSet {
  return {
    get tip() {
      return dataSet.tip;
    },
    get isCurrent() {
      return dataSet.state === 'current';
    },
    entry: (key) => dataSet.entry(key),
    list: (options) => dataSet.list(options),
    reached: (version, options) => dataSet.reached(version, options),
  };
}

/**
 * Ready while there is a copy to serve, also one that isn't current: when the master is away, all slaves would else leave
 * their load balancer at once. `?current=true` asks for more.
 */
function readyChecks(api: SlaveApi, mustBeCurrent: boolean): ReadyCheckBody[] {
  return [...api.dataSets].map(([name, dataSet]) => {
    const { state, reason, tip } = dataSet.dataSet.view();
    const serves = tip !== null && state !== 'diverged' && state !== 'failed';
    const what = tip === null ? 'there is no copy yet' : `the copy at ${showTip(tip)} is ${state}`;
    return {
      name,
      ok: mustBeCurrent ? state === 'current' : serves,
      text: `${what}${reason === '' ? '' : `; ${reason}`}`,
    };
  });
}

function statusBody(api: SlaveApi, request: FastifyRequest): StatusBody {
  return {
    node: api.node,
    role: 'slave',
    dataSets: [...api.dataSets].map(([name, dataSet]) => dataSetBody(name, dataSet, digestFor(request, dataSet))),
    network: api.network?.() ?? null,
  };
}

function dataSetBody(name: string, dataSet: ServedCopy, digest: string | null): SlaveDataSetBody {
  const view = dataSet.dataSet.view();
  return {
    dataSet: name,
    state: view.state,
    tip: tipBody(view.tip),
    heardOf: tipBody(view.heardOf),
    master: view.master,
    entries: dataSet.size,
    stateDigest: digest,
    behind: view.behind,
    behindMs: roundMsOrNull(view.behindMs),
    lastVote: view.lastVote,
    lastVeto: vetoBody(view.lastVeto),
    inDoubt: view.inDoubt.map(({ round, to, ageMs, voters, masterCannotTell }) => ({
      round: roundKey(round),
      version: to.version,
      ageMs: roundMs(ageMs),
      voters,
      masterCannotTell,
    })),
    armed: view.armed === null ? null : armedHereBody(view.armed),
    resolved: view.resolved.map(resolvedBody),
    reason: view.reason,
    repairs: view.repairs,
    snapshots: view.snapshots,
    resyncs: view.resyncs,
    clock: clockBody(view.clock, Date.now()),
  };
}

function armedHereBody({ version, activateAtMs, armed, inMs }: ArmedHereView): ArmedHereBody {
  return { version, activateAt: instantText(activateAtMs), armed, inMs: roundMsOrNull(inMs) };
}
