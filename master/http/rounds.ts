import type { FastifyInstance } from 'fastify';
import { roundMs, type PastRoundBody, type RoundsBody } from '../../shared/http/bodies.js';
import { parseRoundsQuery, parseVersionPath } from '../../shared/http/input.js';
import { sendProblem } from '../../shared/http/problem.js';
import type { FindDataSet } from '../../shared/http/reads.js';
import type { RoundAccount } from '../service/core/view.js';
import type { MasterDataSet } from '../types.js';

interface ServedRounds {
  readonly dataSet: Pick<MasterDataSet, 'rounds' | 'rollBack'>;
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
}

export function roundsBody(dataSet: string, rounds: readonly RoundAccount[]): RoundsBody {
  return { dataSet, rounds: rounds.map(pastRoundBody) };
}

function pastRoundBody({ startedAtMs, decidedMs, exposedMs, votes, ...same }: RoundAccount): PastRoundBody {
  return {
    ...same,
    startedAt: new Date(startedAtMs).toISOString(),
    decidedMs: decidedMs === null ? null : roundMs(decidedMs),
    exposedMs: exposedMs === null ? null : roundMs(exposedMs),
    votes: votes.map((vote) => ({ ...vote, afterMs: roundMs(vote.afterMs) })),
  };
}
