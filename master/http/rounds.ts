import type { FastifyInstance } from 'fastify';
import {
  instantText,
  roundMs,
  type CancellationBody,
  type PastRoundBody,
  type RoundsBody,
} from '../../shared/http/bodies.js';
import type { Cancellation } from '../../shared/protocol/kernel/outcome.js';
import { parseCancel, parseRoundsQuery, parseVersionPath } from '../../shared/http/input.js';
import { sendProblem } from '../../shared/http/problem.js';
import type { FindDataSet } from '../../shared/http/reads.js';
import type { RoundAccount } from '../service/core/view.js';
import type { MasterDataSet } from '../types.js';

interface ServedRounds {
  readonly dataSet: Pick<MasterDataSet, 'rounds' | 'rollBack' | 'cancelActivation'>;
}

/** What happened in the newest rounds, and an end to one that is open. */
export function addRoundRoutes(server: FastifyInstance, find: FindDataSet<ServedRounds>): void {
  server.get<{ Params: { dataSet: string } }>('/v1/rounds/:dataSet', async (request, reply) => {
    const dataSet = find(request.params.dataSet);
    if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
    const query = parseRoundsQuery(request.query);
    if (!query.ok) return sendProblem(reply, query.problem);
    return reply.send(roundsBody(request.params.dataSet, dataSet.value.dataSet.rounds(query.value.limit)));
  });

  server.post<{ Params: { dataSet: string; version: string } }>(
    '/v1/rounds/:dataSet/:version/roll-back',
    async (request, reply) => {
      const dataSet = find(request.params.dataSet);
      if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
      const version = parseVersionPath(request.params.version);
      if (!version.ok) return sendProblem(reply, version.problem);
      await dataSet.value.dataSet.rollBack(version.value);
      return reply.send({ rolledBack: version.value });
    },
  );

  server.post<{ Params: { dataSet: string; version: string } }>(
    '/v1/armed/:dataSet/:version/cancel',
    async (request, reply) => {
      const dataSet = find(request.params.dataSet);
      if (!dataSet.ok) return sendProblem(reply, dataSet.problem);
      const version = parseVersionPath(request.params.version);
      if (!version.ok) return sendProblem(reply, version.problem);
      const options = parseCancel(request.body);
      if (!options.ok) return sendProblem(reply, options.problem);
      const cancellation = await dataSet.value.dataSet.cancelActivation(version.value, options.value);
      return reply.code(cancellation.kind === 'cancelled' ? 200 : 409).send(cancellationBody(cancellation));
    },
  );
}

export function roundsBody(dataSet: string, rounds: readonly RoundAccount[]): RoundsBody {
  return { dataSet, rounds: rounds.map(pastRoundBody) };
}

function cancellationBody(cancellation: Cancellation): CancellationBody {
  const durationMs = roundMs(cancellation.durationMs);
  const { version } = cancellation;
  if (cancellation.kind === 'cancelled') return { outcome: 'cancelled', version, durationMs };
  const { activateAtMs, missing } = cancellation;
  return { outcome: 'stands', version, activateAt: instantText(activateAtMs), missing, durationMs };
}

function pastRoundBody({ startedAtMs, decidedMs, exposedMs, votes, activation, ...same }: RoundAccount): PastRoundBody {
  return {
    ...same,
    startedAt: new Date(startedAtMs).toISOString(),
    decidedMs: decidedMs === null ? null : roundMs(decidedMs),
    exposedMs: exposedMs === null ? null : roundMs(exposedMs),
    activation:
      activation === null ? null : { at: instantText(activation.atMs), armed: activation.armed, of: activation.of },
    votes: votes.map((vote) => ({ ...vote, afterMs: roundMs(vote.afterMs) })),
  };
}
