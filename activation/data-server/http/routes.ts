import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { LockstepError } from '../../../shared/protocol/kernel/errors.js';
import { parseKey } from '../../../shared/http/input.js';
import { addOpenApiRoute } from '../../../shared/http/openapi/document.js';
import { sendProblem } from '../../../shared/http/problem.js';
import { addHealthRoutes } from '../../../shared/http/ready.js';
import type {
  ActivationsBody,
  ClockBody,
  EditedBody,
  ItemEdit,
  ItemsBody,
  PromoteBody,
  RollBody,
} from '../../core/bodies.js';
import type { CopyName, CycleState, Refusal } from '../../core/table.js';
import type { DataServer } from '../data-server.js';
import { changesText, cycleBody, itemBody, lockedBody } from './answers.js';
import {
  parseActivateNow,
  parseActivation,
  parseChangesQuery,
  parseEdits,
  parseInterval,
  parseItem,
  parseItemsQuery,
  parsePromote,
  parseRetrieval,
  parseRoll,
} from './input.js';

/** Every route of a data server. `docs/cycle.md` describes them. */
export function addDataServerRoutes(server: FastifyInstance, dataServer: DataServer): void {
  answerFailures(server);
  // As early as can be, so that what the request waits for here isn't taken for the way that it had.
  const received = new WeakMap<FastifyRequest, number>();
  server.addHook('onRequest', async (request) => {
    received.set(request, dataServer.clock.nowMs());
  });
  const stamps = (request: FastifyRequest): ClockBody =>
    dataServer.clock.stamps(received.get(request) ?? dataServer.clock.nowMs());
  const answers: Answers = {
    table: (request, reply, state) => reply.send(cycleBody(state, stamps(request))),
    refusal: (request, reply, refusal) => sendRefusal(reply, refusal, stamps(request)),
    stamps,
  };
  addCycleRoutes(server, dataServer, answers);
  addCopyRoutes(server, dataServer, answers);
  addManagementRoutes(server, dataServer, answers);
  addItemRoutes(server, dataServer);
  addOpenApiRoute(server, 'data-server');
  // Asked anew each time: a database may go away at any moment.
  server.addHook('preHandler', async (request) => {
    const route = request.routeOptions.url;
    if (route === '/readyz' || route === '/metrics') await dataServer.status().catch(() => undefined);
  });
  addHealthRoutes(server, () => {
    const { failure, lastState } = dataServer;
    const at = lastState === null ? '' : `cycle ${lastState.cycle}`;
    return [{ name: 'database', ok: failure === null, text: failure ?? at }];
  });
}

/** A database that doesn't answer is nothing that the caller did, and may be over soon. */
function answerFailures(server: FastifyInstance): void {
  server.addHook('onRoute', (route) => {
    const handler = route.handler;
    route.handler = async function (this: FastifyInstance, request, reply): Promise<unknown> {
      try {
        return await handler.call(this, request, reply);
      } catch (error) {
        if (!(error instanceof LockstepError) || error.code !== 'store-unusable') throw error;
        return sendProblem(reply, { status: 503, code: 'store-unusable', message: error.message });
      }
    };
  });
}

interface Answers {
  table(request: FastifyRequest, reply: FastifyReply, state: CycleState): FastifyReply;
  refusal(request: FastifyRequest, reply: FastifyReply, refusal: Refusal): FastifyReply;
  stamps(request: FastifyRequest): ClockBody;
}

function addCycleRoutes(server: FastifyInstance, dataServer: DataServer, answers: Answers): void {
  server.get('/v1/cycle', async (request, reply) => answers.table(request, reply, await dataServer.status()));

  server.post('/v1/cycle/roll', async (request, reply) => {
    const asked = parseRoll(request.body);
    if (!asked.ok) return sendProblem(reply, asked.problem);
    const answer = await dataServer.roll(asked.value.by);
    if (answer.kind === 'refused') return answers.refusal(request, reply, answer);
    const body: RollBody = { ...cycleBody(answer.state, answers.stamps(request)), rolled: answer.rolled };
    return reply.send(body);
  });

  server.post('/v1/cycle/activations', async (request, reply) => {
    const report = parseActivation(request.body);
    if (!report.ok) return sendProblem(reply, report.problem);
    dataServer.reportActivation(report.value);
    return reply.send(activationsBody(dataServer));
  });

  server.get('/v1/cycle/activations', async (_request, reply) => reply.send(activationsBody(dataServer)));

  server.post('/v1/cycle/retrievals', async (request, reply) => {
    const report = parseRetrieval(request.body);
    if (!report.ok) return sendProblem(reply, report.problem);
    return answers.table(request, reply, await dataServer.reportRetrieval(report.value));
  });
}

function activationsBody(dataServer: DataServer): ActivationsBody {
  return { activations: dataServer.activations() };
}

function addCopyRoutes(server: FastifyInstance, dataServer: DataServer, answers: Answers): void {
  const answer = async (request: FastifyRequest, reply: FastifyReply, copy: CopyName): Promise<FastifyReply> => {
    const query = parseChangesQuery(request.query);
    if (!query.ok) return sendProblem(reply, query.problem);
    const found = await dataServer.changes(copy, query.value);
    if (found.kind === 'refused') return answers.refusal(request, reply, found);
    return reply.type('application/json; charset=utf-8').send(changesText(found, () => answers.stamps(request)));
  };
  server.get('/v1/cycle/staged', async (request, reply) => answer(request, reply, 'staged'));
  server.get('/v1/cycle/active', async (request, reply) => answer(request, reply, 'active'));
}

function addManagementRoutes(server: FastifyInstance, dataServer: DataServer, answers: Answers): void {
  server.put('/v1/cycle/interval', async (request, reply) => {
    const asked = parseInterval(request.body);
    if (!asked.ok) return sendProblem(reply, asked.problem);
    const { intervalMs, originMs } = asked.value;
    const answer = await dataServer.setInterval(intervalMs, originMs);
    return answer.kind === 'refused'
      ? answers.refusal(request, reply, answer)
      : answers.table(request, reply, answer.state);
  });

  server.post('/v1/cycle/promote', async (request, reply) => {
    const asked = parsePromote(request.body);
    if (!asked.ok) return sendProblem(reply, asked.problem);
    const answer = await dataServer.promote(asked.value.keys ?? null);
    if (answer.kind === 'refused') return answers.refusal(request, reply, answer);
    const body: PromoteBody = { ...cycleBody(answer.state, answers.stamps(request)), promoted: answer.promoted };
    return reply.send(body);
  });

  server.post('/v1/cycle/activate-now', async (request, reply) => {
    const asked = parseActivateNow(request.body);
    if (!asked.ok) return sendProblem(reply, asked.problem);
    const answer = await dataServer.activateNow(asked.value.inMs);
    return answer.kind === 'refused'
      ? answers.refusal(request, reply, answer)
      : answers.table(request, reply, answer.state);
  });
}

function addItemRoutes(server: FastifyInstance, dataServer: DataServer): void {
  const edit = async (reply: FastifyReply, edits: readonly ItemEdit[]): Promise<FastifyReply> => {
    const body: EditedBody = { changed: await dataServer.edit(edits) };
    return reply.send(body);
  };

  server.get('/v1/items', async (request, reply) => {
    const query = parseItemsQuery(request.query);
    if (!query.ok) return sendProblem(reply, query.problem);
    const { limit } = query.value;
    // One more than asked tells whether there is another page.
    const found = await dataServer.items({ ...query.value, limit: limit + 1 });
    const items = found.slice(0, limit).map(itemBody);
    const body: ItemsBody = { items, next: found.length > limit ? (items.at(-1)?.key ?? null) : null };
    return reply.send(body);
  });

  server.post('/v1/items', async (request, reply) => {
    const edits = parseEdits(request.body);
    return edits.ok ? edit(reply, edits.value) : sendProblem(reply, edits.problem);
  });

  server.get<{ Params: { key: string } }>('/v1/items/:key', async (request, reply) => {
    const key = parseKey(request.params.key, 'key');
    if (!key.ok) return sendProblem(reply, key.problem);
    const item = await dataServer.item(key.value);
    if (item !== null) return reply.send(itemBody(item));
    const message = `production has no item ${JSON.stringify(key.value)}`;
    return sendProblem(reply, { status: 404, code: 'key-unknown', message, field: 'key' });
  });

  server.put<{ Params: { key: string } }>('/v1/items/:key', async (request, reply) => {
    const key = parseKey(request.params.key, 'key');
    if (!key.ok) return sendProblem(reply, key.problem);
    const item = parseItem(request.body);
    if (!item.ok) return sendProblem(reply, item.problem);
    const { value, notBeforeMs } = item.value;
    const put = [key.value, value] as const;
    return edit(reply, [notBeforeMs === undefined ? { put } : { put, notBeforeMs }]);
  });

  server.delete<{ Params: { key: string } }>('/v1/items/:key', async (request, reply) => {
    const key = parseKey(request.params.key, 'key');
    return key.ok ? edit(reply, [{ delete: key.value }]) : sendProblem(reply, key.problem);
  });
}

/** 409: it doesn't fit what is so now. Who has to wait for a lock is told how long. */
function sendRefusal(reply: FastifyReply, refusal: Refusal, clock: ClockBody): FastifyReply {
  const locked = lockedBody(refusal, clock);
  if (locked === null) return sendProblem(reply, { status: 409, code: refusal.code, message: refusal.message });
  // A roll takes much less than its lock may last: it's worth asking again soon.
  return reply.code(409).header('retry-after', '1').send(locked);
}
