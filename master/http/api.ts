import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { Json, Operation } from '../../shared/protocol/key-value/operations.js';
import { showTip, versionOf } from '../../shared/protocol/kernel/ids.js';
import type { ScheduledOutcome } from '../../shared/protocol/kernel/outcome.js';
import {
  roundMs,
  roundMsOrNull,
  tipBody,
  vetoBody,
  instantText,
  type ActivationBody,
  type ArmedBody,
  type MasterDataSetBody,
  type MemberBody,
  type OutcomeBody,
  type ReadyCheckBody,
  type NetworkBody,
  type StatusBody,
} from '../../shared/http/bodies.js';
import {
  parseChange,
  parseIdempotencyKey,
  parseKey,
  parseSingleQuery,
  type ChangeInputOptions,
} from '../../shared/http/input.js';
import { addFeedRoute, type FeedBounds } from '../../shared/http/feed/feed.js';
import { addOpenApiRoute } from '../../shared/http/openapi/document.js';
import { addHealthRoutes } from '../../shared/http/ready.js';
import { sendProblem, type Problem } from '../../shared/http/problem.js';
import {
  addReadRoutes,
  dataSetFinder,
  digestFor,
  nameVersion,
  type FindDataSet,
  type ReadableDataSet,
} from '../../shared/http/reads.js';
import type { ActivationView, ArmedView, MasterPhase, MasterView, MemberView } from '../service/core/view.js';
import type { MasterKeyValue, ScheduledChangeOutcome } from '../user/key-value-types.js';
import { addDashboard } from './dashboard.js';
import type { LiveReading } from './live.js';
import { addLiveRoute } from './live-route.js';
import { addRoundRoutes, roundsBody } from './rounds.js';

/** What the routes need of a key-value data set; the handle that `register` returns is one. */
export type ServedOriginal = Pick<MasterKeyValue<Json>, 'tip' | 'size' | 'entry' | 'list' | 'change' | 'outcomeOf'> & {
  readonly dataSet: Pick<
    MasterKeyValue<Json>['dataSet'],
    'view' | 'forget' | 'members' | 'rounds' | 'rollBack' | 'cancelActivation' | 'deltas'
  >;
  stateDigest(): string;
};

export interface MasterApi {
  readonly node: string;
  /** How the node reaches the others. */
  readonly network?: () => NetworkBody | null;
  readonly dataSets: ReadonlyMap<string, ServedOriginal>;
  /** Why the data set can't take changes, when more is known than its phase. */
  whyNotLeading(dataSet: string): string | null;
  /** Default: those of `httpBounds`. */
  readonly feedBounds?: FeedBounds;
}

/** Every route of the master. `docs/http.md` describes them. */
export function addMasterRoutes(server: FastifyInstance, api: MasterApi): void {
  const find = dataSetFinder(api.dataSets);
  addReadRoutes(server, (name) => {
    const dataSet = find(name);
    return dataSet.ok ? { ok: true, value: readableOriginal(dataSet.value) } : dataSet;
  });
  addFeedRoute(
    server,
    (name) => {
      const dataSet = find(name);
      if (!dataSet.ok) return dataSet;
      const { tip, isCurrent } = readableOriginal(dataSet.value);
      return { ok: true, value: { tip, isCurrent, deltas: dataSet.value.dataSet.deltas } };
    },
    { knowsNewest: true, bounds: api.feedBounds },
  );
  addChangeRoutes(server, api, find);
  addMemberRoutes(server, find);
  addRoundRoutes(server, find);
  addOpenApiRoute(server, 'master');
  server.get('/v1/status', async (request, reply) => reply.send(statusBody(api, request)));
  addHealthRoutes(server, () => readyChecks(api));
  addLiveRoute(server, { node: api.node, read: () => liveReadings(api) });
  addDashboard(server);
}

function liveReadings(api: MasterApi): readonly LiveReading[] {
  return [...api.dataSets].map(([name, dataSet]) => ({
    body: dataSetBody(name, dataSet, null),
    rounds: (limit: number) => roundsBody(name, dataSet.dataSet.rounds(limit)).rounds,
  }));
}

function addChangeRoutes(server: FastifyInstance, api: MasterApi, find: FindDataSet<ServedOriginal>): void {
  const change = async (
    reply: FastifyReply,
    name: string,
    request: {
      readonly operations: readonly Operation<Json>[];
      readonly options: ChangeInputOptions;
      readonly idempotencyKey: unknown;
    },
  ): Promise<FastifyReply> => {
    const dataSet = find(name);
    if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
    const idempotencyKey = parseIdempotencyKey(request.idempotencyKey);
    if (!idempotencyKey.ok) return sendProblem(reply, idempotencyKey.problem);
    const reason = whyNoChange(api, name, dataSet.value);
    if (reason !== null) return sendProblem(reply, reason);
    const outcome = await dataSet.value.change(request.operations, {
      ...request.options,
      ...(idempotencyKey.value === undefined ? {} : { idempotencyKey: idempotencyKey.value }),
    });
    nameVersion(reply, readableOriginal(dataSet.value));
    return sendOutcome(reply, outcome);
  };

  server.put<{ Params: { dataSet: string; key: string } }>('/v1/data/:dataSet/:key', async (request, reply) => {
    const key = parseKey(request.params.key, 'key');
    if (!key.ok) return sendProblem(reply, key.problem);
    const query = parseSingleQuery(request.query);
    if (!query.ok) return sendProblem(reply, query.problem);
    if (query.value.condition.ifAbsent === true && query.value.condition.ifVersion !== undefined) {
      return sendProblem(reply, {
        status: 400,
        code: 'bad-input',
        message: 'ifAbsent: and ifVersion exclude each other',
        field: 'ifAbsent',
      });
    }
    if (request.body === undefined)
      return sendProblem(reply, {
        status: 400,
        code: 'bad-input',
        message: 'body: is empty; send the value as JSON',
        field: 'body',
      });
    // The body came through the JSON parser, so it is JSON.
    const put: readonly [string, Json] = [key.value, request.body as Json];
    const operations: readonly Operation<Json>[] = [{ put, ...query.value.condition }];
    return change(reply, request.params.dataSet, {
      operations,
      options: query.value.options,
      idempotencyKey: request.headers['idempotency-key'],
    });
  });

  server.delete<{ Params: { dataSet: string; key: string } }>('/v1/data/:dataSet/:key', async (request, reply) => {
    const key = parseKey(request.params.key, 'key');
    if (!key.ok) return sendProblem(reply, key.problem);
    const query = parseSingleQuery(request.query);
    if (!query.ok) return sendProblem(reply, query.problem);
    const { ifAbsent, ifVersion } = query.value.condition;
    if (ifAbsent !== undefined)
      return sendProblem(reply, {
        status: 400,
        code: 'bad-input',
        message: 'ifAbsent: is no condition of a delete',
        field: 'ifAbsent',
      });
    const operations: readonly Operation<Json>[] = [
      { delete: key.value, ...(ifVersion === undefined ? {} : { ifVersion }) },
    ];
    return change(reply, request.params.dataSet, {
      operations,
      options: query.value.options,
      idempotencyKey: request.headers['idempotency-key'],
    });
  });

  server.post<{ Params: { dataSet: string } }>('/v1/changes/:dataSet', async (request, reply) => {
    const input = parseChange(request.body);
    if (!input.ok) return sendProblem(reply, input.problem);
    return change(reply, request.params.dataSet, {
      ...input.value,
      idempotencyKey: request.headers['idempotency-key'],
    });
  });

  server.get<{ Params: { dataSet: string; idempotencyKey: string } }>(
    '/v1/changes/:dataSet/:idempotencyKey',
    async (request, reply) => {
      const dataSet = find(request.params.dataSet);
      if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
      const key = parseIdempotencyKey(request.params.idempotencyKey);
      if (!key.ok) return sendProblem(reply, key.problem);
      const outcome = key.value === undefined ? undefined : dataSet.value.outcomeOf(key.value);
      if (outcome === undefined) {
        const message = `this master knows no change with the key ${request.params.idempotencyKey}; it never arrived, or is too long ago`;
        return sendProblem(reply, { status: 404, code: 'round-unknown', message, field: 'idempotencyKey' });
      }
      if (outcome === 'pending') return reply.code(202).send({ outcome: 'pending' } satisfies OutcomeBody);
      return sendOutcome(reply, outcome);
    },
  );
}

function addMemberRoutes(server: FastifyInstance, find: FindDataSet<ServedOriginal>): void {
  server.post<{ Params: { dataSet: string; node: string } }>(
    '/v1/members/:dataSet/:node/forget',
    async (request, reply) => {
      const dataSet = find(request.params.dataSet);
      if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
      await dataSet.value.dataSet.forget(request.params.node);
      return reply.send({ forgotten: request.params.node });
    },
  );
}

function sendOutcome(reply: FastifyReply, outcome: ScheduledChangeOutcome): FastifyReply {
  return reply.code(statusOfOutcome[outcome.kind]).send(outcomeBody(outcome));
}

export const statusOfOutcome = { committed: 200, armed: 200, aborted: 409, unknown: 504 } as const;

export function outcomeBody(
  outcome: ScheduledChangeOutcome | ScheduledOutcome,
): Exclude<OutcomeBody, { readonly outcome: 'pending' }> {
  switch (outcome.kind) {
    case 'committed':
      return {
        outcome: 'committed',
        ...tipBody(outcome.tip),
        durationMs: roundMs(outcome.durationMs),
        votes: outcome.votes,
        durable: outcome.durable,
      };
    case 'armed':
      return {
        outcome: 'armed',
        ...tipBody(outcome.tip),
        activateAt: instantText(outcome.activateAtMs),
        arming: outcome.arming,
        durationMs: roundMs(outcome.durationMs),
        votes: outcome.votes,
        durable: outcome.durable,
      };
    case 'aborted':
      return {
        outcome: 'aborted',
        reason: outcome.reason,
        refusals: outcome.refusals,
        ...('failures' in outcome ? { failures: outcome.failures } : {}),
        durationMs: roundMs(outcome.durationMs),
      };
    case 'unknown':
      return { outcome: 'unknown', reason: outcome.reason, durationMs: roundMs(outcome.durationMs) };
  }
}

export function whyNoChange(
  api: Pick<MasterApi, 'node' | 'whyNotLeading'>,
  name: string,
  dataSet: Pick<ServedOriginal, 'dataSet'>,
): Problem | null {
  const { phase } = dataSet.dataSet.view();
  if (phase === 'leading') return null;
  return { status: 503, code: 'not-leading', message: api.whyNotLeading(name) ?? phaseText(api.node, phase) };
}

function phaseText(node: string, phase: MasterPhase): string {
  switch (phase) {
    case 'opening':
      return `${node} is reading its store; ask again in a moment`;
    case 'surveying':
      return `${node} is asking its group whether it may lead; ask again in a moment`;
    case 'claiming':
      return `${node} is waiting for its group's promises; ask again in a moment`;
    case 'closing':
      return `${node} is shutting down`;
    case 'leading':
    case 'halted':
      return `${node} does not lead this data set; its log says why`;
  }
}

function readableOriginal(dataSet: ServedOriginal): ReadableDataSet {
  return {
    get tip() {
      return dataSet.tip;
    },
    get isCurrent() {
      const { phase, armed } = dataSet.dataSet.view();
      // G16: past the instant others show the new state, whatever kept this process from it. While it is `activating`, it shows here.
      const isDue = armed !== null && armed.inMs <= 0 && (armed.phase === 'armed' || armed.phase === 'cancelling');
      return phase === 'leading' && !isDue;
    },
    entry: (key) => dataSet.entry(key),
    list: (options) => dataSet.list(options),
    reached: async (version) => {
      // The original is where versions come from: there is nothing to wait for.
      throw new LockstepError(
        'timed-out',
        `the master itself is at version ${versionOf(dataSet.tip)}; version ${version} doesn't exist yet`,
      );
    },
  };
}

/** A master that leads is as current as anything can be. */
function readyChecks(api: MasterApi): ReadyCheckBody[] {
  return [...api.dataSets].map(([name, dataSet]) => {
    const view = dataSet.dataSet.view();
    if (view.phase !== 'leading')
      return { name, ok: false, text: api.whyNotLeading(name) ?? phaseText(api.node, view.phase) };
    const waits = `${api.node} leads, and waits until its members have promised or the longest lease has passed`;
    return { name, ok: view.mayCommit, text: view.mayCommit ? `${api.node} leads at ${showTip(view.tip)}` : waits };
  });
}

function statusBody(api: MasterApi, request: FastifyRequest): StatusBody {
  return {
    node: api.node,
    role: 'master',
    dataSets: [...api.dataSets].map(([name, dataSet]) => dataSetBody(name, dataSet, digestFor(request, dataSet))),
    network: api.network?.() ?? null,
  };
}

function dataSetBody(name: string, dataSet: ServedOriginal, digest: string | null): MasterDataSetBody {
  const view: MasterView = dataSet.dataSet.view();
  return {
    dataSet: name,
    phase: view.phase,
    epoch: view.epoch.number,
    tip: tipBody(view.tip),
    mayCommit: view.mayCommit,
    entries: dataSet.size,
    stateDigest: digest,
    queued: view.queued,
    openRounds: view.openRounds.map((round) => ({
      round: round.round.number,
      version: round.version,
      phase: round.phase,
      ageMs: roundMs(round.ageMs),
      voters: round.voters,
      missing: round.missing,
    })),
    armed: view.armed === null ? null : armedBody(view.armed),
    activation: view.activation === null ? null : activationBody(view.activation),
    historyBytes: view.historyBytes,
    members: view.members.map(memberBody),
  };
}

function armedBody({ version, activateAtMs, inMs, phase, armed, of, missing }: ArmedView): ArmedBody {
  return { version, activateAt: instantText(activateAtMs), inMs: roundMs(inMs), phase, armed, of, missing };
}

function activationBody({ activateAtMs, ...same }: ActivationView): ActivationBody {
  return { ...same, activateAt: instantText(activateAtMs) };
}

function memberBody(member: MemberView): MemberBody {
  return {
    node: member.node,
    live: member.live,
    state: member.state,
    tip: tipBody(member.tip),
    behind: member.behind,
    behindMs: roundMsOrNull(member.behindMs),
    heardMsAgo: roundMsOrNull(member.heardMsAgo),
    lastVote: member.lastVote,
    lastVeto: vetoBody(member.lastVeto),
    inDoubt: member.inDoubt,
    oldestInDoubtMs: roundMsOrNull(member.oldestInDoubtMs),
    roundTripMs: roundMsOrNull(member.roundTripMs),
    repairs: member.repairs,
    snapshots: member.snapshots,
    resyncs: member.resyncs,
  };
}
