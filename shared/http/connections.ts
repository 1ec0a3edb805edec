import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { HttpBounds } from './bounds.js';
import { errorBody, sendProblem, type Problem } from './problem.js';

/**
 * Answers what is no HTTP request, or never became one, as every other mistake is answered; then the connection goes.
 * Called for each connection at most once.
 */
export function answerBrokenRequest(error: Error, socket: Socket): void {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // A reset by the client, or an answer that is under way already: there is nobody, or nothing more, to tell.
  if (code === 'ECONNRESET' || socket.destroyed || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const problem = problemOfParser(code);
  const body = JSON.stringify(errorBody(problem));
  const reason =
    problem.status === 431
      ? 'Request Header Fields Too Large'
      : problem.status === 408
        ? 'Request Timeout'
        : 'Bad Request';
  socket.end(
    `HTTP/1.1 ${problem.status} ${reason}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n${body}`,
    () => {
      socket.destroy(); // a client that goes on writing isn't read any more
    },
  );
}

/** `Expect:` with anything but `100-continue`, which the framework never sees. */
export function answerExpectation(_request: IncomingMessage, response: ServerResponse): void {
  const message = 'expect: only 100-continue is understood; leave the header out';
  const body = JSON.stringify(errorBody({ status: 417, code: 'bad-input', message, field: 'expect' }));
  response.writeHead(417, { 'content-type': 'application/json', connection: 'close' }).end(body);
}

function problemOfParser(code: string): Problem {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return {
        status: 431,
        code: 'bad-input',
        message: 'headers: are larger than 16 KiB in all; shorten the path or the headers',
      };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, code: 'timed-out', message: 'the request took too long to arrive; send it at once' };
    default:
      return {
        status: 400,
        code: 'bad-input',
        message: `this is no HTTP/1.1 request (${code === '' ? 'malformed' : code})`,
      };
  }
}

/**
 * Bodies are held in memory while they arrive, so there is a bound on all of them together: who comes with more is asked
 * to come again. A body whose length isn't told counts as the largest that is taken.
 */
export function boundBodies(server: FastifyInstance, bounds: HttpBounds): void {
  let heldBytes = 0;
  server.addHook('onRequest', async (request, reply) => {
    const told = Number(request.headers['content-length'] ?? 0);
    const bytes =
      request.headers['transfer-encoding'] === undefined ? Math.min(told, bounds.bodyBytes) : bounds.bodyBytes;
    // One alone is always taken: its own bound holds for it.
    if (heldBytes > 0 && bytes > 0 && heldBytes + bytes > bounds.allBodiesBytes) {
      const message = `${heldBytes} bytes of requests are under way, and this would be more than ${bounds.allBodiesBytes}; ask again in a moment`;
      // The connection goes: what the client is sending is nothing that anybody reads.
      return sendProblem(reply.header('connection', 'close'), { status: 503, code: 'queue-full', message });
    }
    heldBytes += bytes;
    reply.raw.once('close', () => {
      heldBytes -= bytes;
    });
    return undefined;
  });
}
