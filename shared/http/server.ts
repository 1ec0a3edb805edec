import { fastify, type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import type { EventLog } from '../runtime/ports.js';
import { httpBounds, type HttpBounds } from './bounds.js';
import { answerBrokenRequest, answerExpectation, boundBodies } from './connections.js';
import { requireTokens, type TokenDigest } from './tokens.js';
import { errorBody, problemOf, sendProblem, type Problem } from './problem.js';

export interface ServerOptions {
  readonly bounds?: HttpBounds;
  /** Absent: everybody may do everything. */
  readonly tokens?: readonly TokenDigest[] | undefined;
  /** Absent: plain HTTP. */
  readonly tls?: TlsFiles | undefined;
}

/** Certificate (with its chain) and key, PEM. */
export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/**
 * An HTTP server with the rules that both sides share: JSON in and out, bounded bodies, errors as
 * `{error: {code, message}}`, never a stack trace, nothing from a web page of another origin.
 */
export function createServer(log: EventLog, options: ServerOptions = {}): FastifyInstance {
  const bounds = options.bounds ?? httpBounds;
  const patience = {
    headersTimeout: bounds.headersTimeoutMs,
    connectionsCheckingInterval: bounds.slowCheckMs,
    requestTimeout: bounds.requestTimeoutMs,
  };
  const server = fastify({
    ...transportOptions(options.tls, patience),
    logger: false,
    bodyLimit: bounds.bodyBytes,
    requestTimeout: bounds.requestTimeoutMs,
    clientErrorHandler: answerBrokenRequest,
    // While closing, rounds still settle and their callers still get their answer.
    return503OnClosing: false,
    routerOptions: { maxParamLength: httpBounds.pathParameterCharacters },
    frameworkErrors: (error, _request, reply) => {
      sendProblem(reply, problemOfFramework(error) ?? internalProblem());
    },
  });
  server.server.maxConnections = bounds.connections;
  server.server.on('checkExpectation', answerExpectation);
  acceptJsonOnly(server);
  server.addHook('onRequest', refuseCrossOrigin);
  if (options.tokens !== undefined) requireTokens(server, options.tokens);
  boundBodies(server, bounds);
  server.setNotFoundHandler((request, reply) =>
    sendProblem(reply, {
      status: 404,
      code: 'route-unknown',
      message: `no route ${request.method} ${request.url.slice(0, 200)}; docs/http.md lists the routes`,
    }),
  );
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = problemOf(error) ?? problemOfFramework(error);
    if (problem === null) {
      log.record({
        name: 'http-request-failed',
        level: 'error',
        fields: { method: request.method, url: request.url, reason: errorText(error), stack: error.stack ?? '' },
      });
    }
    return sendProblem(reply, problem ?? internalProblem());
  });
  return server;
}

/**
 * Listens, and says where. Port 0 takes any free one.
 *
 * Rejects with `address-in-use` or `bad-option`, naming the flag and what to do.
 */
export async function listen(
  server: FastifyInstance,
  options: { readonly host: string; readonly port: number },
): Promise<string> {
  const asked = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${options.port}`;
  try {
    return await server.listen({ host: options.host, port: options.port });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'EADDRINUSE') {
      throw new LockstepError(
        'address-in-use',
        `--http ${asked} is in use by another process; give another port, or 0 for any free one`,
        { cause: error },
      );
    }
    if (code === 'EACCES') {
      throw new LockstepError('bad-option', `--http ${asked} may not be used by this user; give a port above 1023`, {
        cause: error,
      });
    }
    throw new LockstepError(
      'bad-option',
      `--http ${asked} is no address of this machine (${errorText(error)}); give one, such as 127.0.0.1:7400`,
      { cause: error },
    );
  }
}

/** Answers 503 to everything but `/livez` and the dashboard's files until the node has opened its store: the port is taken first, the group last. */
export function refuseUntilOpen(server: FastifyInstance, isOpen: () => boolean): void {
  server.addHook('onRequest', async (request, reply) => {
    const route = request.routeOptions.url;
    if (isOpen() || route === '/livez' || route === '/' || route === '/dashboard/:file') return undefined;
    return sendProblem(reply, {
      status: 503,
      code: 'not-leading',
      message: 'this node is opening its store; ask again in a moment',
    });
  });
}

/** The framework has a type for each transport; what is done with the server here is the same for both. */
function transportOptions(tls: TlsFiles | undefined, patience: object): { readonly http: object } {
  return tls === undefined
    ? { http: patience }
    : ({ https: { ...tls, ...patience } } as unknown as { readonly http: object });
}

/** The one media type: a web page can't send it to another origin without asking first. */
function acceptJsonOnly(server: FastifyInstance): void {
  const parse = server.getDefaultJsonParser('error', 'error');
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = typeof body === 'string' ? body : body.toString('utf8');
    void parse(request, text, (error, value) => {
      if (error === null) done(null, value);
      else done(new LockstepError('bad-input', `body: ${whyNotJson(text)}`, { cause: error }));
    });
  });
}

/** Names the place of the first wrong character; the fast parser doesn't. */
function whyNotJson(text: string): string {
  if (text.length === 0) return 'is empty; send JSON';
  try {
    JSON.parse(text);
    return 'holds a "__proto__" or "constructor.prototype" field, which is never accepted';
  } catch (error) {
    return `is no JSON: ${errorText(error)}`;
  }
}

async function refuseCrossOrigin(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  const origin = request.headers.origin;
  if (origin === undefined || request.method === 'GET' || request.method === 'HEAD') return undefined;
  if (URL.canParse(origin) && new URL(origin).host === request.headers.host) return undefined;
  return reply.code(403).send(
    errorBody({
      status: 403,
      code: 'cross-origin',
      message: 'changes are not taken from web pages of another origin',
    }),
  );
}

function problemOfFramework(error: FastifyError): Problem | null {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return {
        status: 413,
        code: 'change-too-large',
        message: `body: is larger than this route takes (at most ${httpBounds.bodyBytes} bytes for a change, ${httpBounds.readBodyBytes} for a read); split it`,
        field: 'body',
      };
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return {
        status: 415,
        code: 'unsupported-media-type',
        message: 'content-type: only application/json is accepted; send Content-Type: application/json',
        field: 'content-type',
      };
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return { status: 400, code: 'bad-input', message: 'body: is empty; send JSON', field: 'body' };
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return {
        status: 400,
        code: 'bad-input',
        message: 'content-length: differs from the size of the body',
        field: 'content-length',
      };
    case 'FST_ERR_BAD_URL':
      return { status: 400, code: 'bad-input', message: 'url: holds a malformed percent-encoding', field: 'url' };
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return {
        status: 414,
        code: 'bad-input',
        message: `key: is longer than ${httpBounds.keyBytes} bytes`,
        field: 'key',
      };
    default:
      return error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500
        ? { status: error.statusCode, code: 'bad-input', message: error.message }
        : null;
  }
}

function internalProblem(): Problem {
  return { status: 500, code: 'internal', message: 'this server failed; its log says why' };
}
