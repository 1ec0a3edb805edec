import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ReadyBody, ReadyCheckBody } from './bodies.js';
import { httpBounds } from './bounds.js';
import { parseReadyQuery } from './input.js';
import { sendProblem } from './problem.js';

/** How often a waiting request looks again. */
const lookMs = 20;

/** What a node is asked: one check for each data set. */
export type ReadyChecks = (mustBeCurrent: boolean) => readonly ReadyCheckBody[];

/** `GET /livez` and `GET /readyz`: for whoever starts, restarts and balances. They need no token. */
export function addHealthRoutes(server: FastifyInstance, checks: ReadyChecks): void {
  let isClosing = false;
  let waiting = 0;
  server.addHook('preClose', async () => {
    isClosing = true;
  });
  server.get('/livez', async (_request, reply) => reply.send({ live: true }));
  server.get('/readyz', async (request, reply) => {
    const query = parseReadyQuery(request.query);
    if (!query.ok) return sendProblem(reply, query.problem);
    const { current, verbose, timeoutMs } = query.value;
    let outcome = checks(current);
    if (timeoutMs > 0 && !isReady(outcome)) {
      if (waiting >= httpBounds.readyWaiters) {
        const message = `${httpBounds.readyWaiters} requests wait for this node to be ready; ask again in a moment`;
        return sendProblem(reply, { status: 503, code: 'queue-full', message });
      }
      waiting += 1;
      const endMs = performance.now() + timeoutMs;
      try {
        while (!isReady(outcome) && performance.now() < endMs && !isClosing && !isGone(request)) {
          await sleep(Math.min(lookMs, Math.max(0, endMs - performance.now())));
          outcome = checks(current);
        }
      } finally {
        waiting -= 1;
      }
    }
    return answer(request, reply, outcome, verbose);
  });
}

function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  checks: readonly ReadyCheckBody[],
  verbose: boolean,
): FastifyReply {
  const ready = isReady(checks);
  reply.code(ready ? 200 : 503);
  if (verbose && !(request.headers.accept ?? '').includes('application/json')) {
    const lines = checks.map(({ name, ok, text }) => `[${ok ? '+' : '-'}]${name} ${text}`);
    return reply
      .header('content-type', 'text/plain; charset=utf-8')
      .send(`${[...lines, ready ? 'ready' : 'not ready'].join('\n')}\n`);
  }
  const reasons = checks.filter(({ ok }) => !ok).map(({ name, text }) => `${name}: ${text}`);
  const body: ReadyBody = { ready, reasons, ...(verbose ? { checks } : {}) };
  return reply.send(body);
}

function isReady(checks: readonly ReadyCheckBody[]): boolean {
  return checks.every(({ ok }) => ok);
}

function isGone(request: FastifyRequest): boolean {
  return request.raw.socket.destroyed;
}
