import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import { sendProblem } from './problem.js';

/** What a token allows: `write` reads too, `admin` does everything. */
export const roles = ['read', 'write', 'admin'] as const;
export type Role = (typeof roles)[number];

export interface TokenDigest {
  readonly role: Role;
  /** SHA-256: who reads the file can't use what is in it. */
  readonly digest: Buffer;
}

/** Holds the same lines as a file of tokens. */
export const tokensVariable = 'LOCKSTEP_HTTP_TOKENS';

/** 256 bits: not to be guessed, so one round of SHA-256 is enough to keep it. */
const tokenBytes = 32;
/** Longer ones aren't looked at. */
const maxTokenCharacters = 512;
const maxTokens = 1000;

export function newToken(role: Role): { readonly token: string; readonly line: string } {
  const token = randomBytes(tokenBytes).toString('base64url');
  return { token, line: `${role} ${digestOfToken(token).toString('hex')}` };
}

/** Throws `bad-option` when the file can't be read, others than its owner may read it, or a line of it is wrong. */
export function readTokens(path: string): readonly TokenDigest[] {
  const where = `--http-tokens ${path}`;
  let text: string;
  try {
    const { mode } = statSync(path);
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new LockstepError(
        'bad-option',
        `${where} may be used by others than its owner (mode ${(mode & 0o777).toString(8)}); chmod 600 it`,
      );
    }
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof LockstepError) throw error;
    throw new LockstepError('bad-option', `${where} can't be read (${errorText(error)})`, { cause: error });
  }
  return parseTokens(text, where);
}

/** Lines of a role and a digest; what follows is a remark, and so is a line that begins with `#`. */
export function parseTokens(text: string, where: string): readonly TokenDigest[] {
  const tokens = text.split('\n').flatMap((line, index): TokenDigest[] => {
    const [word = '', hex = ''] = line.trim().split(/\s+/);
    if (word === '' || word.startsWith('#')) return [];
    const role = roles.find((known) => known === word);
    // The line itself isn't shown: somebody may have put a token there.
    if (role === undefined || !/^[0-9a-f]{64}$/.test(hex)) {
      throw new LockstepError(
        'bad-option',
        `${where} line ${index + 1} isn't "ROLE DIGEST"; make one with: lockstep token new --role read`,
      );
    }
    return [{ role, digest: Buffer.from(hex, 'hex') }];
  });
  if (tokens.length === 0 || tokens.length > maxTokens)
    throw new LockstepError('bad-option', `${where} has ${tokens.length} tokens; give 1 to ${maxTokens}`);
  return tokens;
}

/** The health checks, and the dashboard's own files: they hold no data, and ask for the token that the data needs. */
const openRoutes: ReadonlySet<string> = new Set(['/livez', '/readyz', '/', '/dashboard/:file']);

/** Everything but the open routes wants a token from now on. Add it before the routes. */
export function requireTokens(server: FastifyInstance, tokens: readonly TokenDigest[]): void {
  server.addHook('onRequest', async (request, reply) => {
    const route = request.routeOptions.url ?? '';
    if (openRoutes.has(route)) return undefined;
    const role = roleOf(tokens, request.headers.authorization);
    if (role === null) {
      const message = 'authorization: a token is needed that this node knows; send Authorization: Bearer TOKEN';
      reply.header('www-authenticate', 'Bearer realm="lockstep"');
      return sendProblem(reply, { status: 401, code: 'unauthenticated', message, field: 'authorization' });
    }
    const needed = neededRole(request, route);
    if (roles.indexOf(role) >= roles.indexOf(needed)) return undefined;
    const message = `authorization: this token has the role ${role}; ${request.method} ${route} needs ${needed}`;
    return sendProblem(reply, { status: 403, code: 'forbidden', message, field: 'authorization' });
  });
}

function roleOf(tokens: readonly TokenDigest[], header: string | undefined): Role | null {
  const token = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  if (token === undefined || token.length > maxTokenCharacters) return null;
  const given = digestOfToken(token);
  let found: Role | null = null;
  // All are compared, in constant time each: how long it takes tells nothing about any of them.
  for (const { role, digest } of tokens) if (timingSafeEqual(digest, given)) found = role;
  return found;
}

/** A server that copies may do no more than read; a roll does only what the time demands. */
const askedByCopies: ReadonlySet<string> = new Set(['/v1/cycle/roll', '/v1/cycle/retrievals', '/v1/cycle/activations']);
/** What moves the instant at which everybody switches. */
const cycleOperators: ReadonlySet<string> = new Set(['/v1/cycle/interval', '/v1/cycle/activate-now']);

function neededRole({ method }: FastifyRequest, route: string): Role {
  if (method === 'GET' || method === 'HEAD' || route.startsWith('/v1/reads/') || askedByCopies.has(route))
    return 'read';
  const isOperators =
    /\/(forget|discard|roll-back)$/.test(route) || route.startsWith('/v1/in-doubt/') || cycleOperators.has(route);
  return isOperators ? 'admin' : 'write';
}

function digestOfToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
