import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type { FastifyInstance } from 'fastify';
import type { Role } from '../../shared/http/openapi/build.js';
import { openApiOf } from '../../shared/http/openapi/document.js';

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: Responses }>>>>;
}
type Responses = Readonly<
  Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> } | undefined>
>;

/** Holds a server against its document: the routes, and each answer that it gives from now on. */
export interface Documented {
  /** What was served that the document doesn't say, in words. */
  readonly problems: string[];
  /** `get /v1/status`, as the document writes it. */
  readonly routes: ReadonlySet<string>;
  /** Answers that were held against a schema. */
  readonly validated: () => number;
}

/** Call it before the routes are added. */
export function documented(server: FastifyInstance, role: Role): Documented {
  const document = openApiOf(role) as Document;
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  formats.default(ajv);
  ajv.addSchema(document, 'openapi');
  const validators = new Map<string, ValidateFunction>();
  const routes = new Set<string>();
  const problems: string[] = [];
  let validated = 0;
  server.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat()) if (each !== 'HEAD') routes.add(`${each.toLowerCase()} ${templated(url)}`);
  });
  server.addHook('onSend', async (request, reply, payload) => {
    const url = request.routeOptions.url;
    if (url === undefined || request.method === 'HEAD') return payload;
    const method = request.method.toLowerCase();
    const path = templated(url);
    const where = `${method} ${path} ${reply.statusCode}`;
    const type = String(reply.getHeader('content-type') ?? '').split(';')[0] ?? '';
    const response = document.paths[path]?.[method]?.responses[reply.statusCode];
    if (response?.content?.[type] === undefined) {
      problems.push(`${where}: no ${type} is documented`);
      return payload;
    }
    if (type !== 'application/json' || typeof payload !== 'string') return payload;
    const pointer = ['paths', path, method, 'responses', String(reply.statusCode), 'content', type, 'schema'];
    const name = `openapi#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
    const validate = validators.get(name) ?? ajv.compile({ $ref: name });
    validators.set(name, validate);
    validated += 1;
    if (validate(JSON.parse(payload)) !== true)
      problems.push(`${where}: ${ajv.errorsText(validate.errors)} in ${payload.slice(0, 500)}`);
    return payload;
  });
  return { problems, routes, validated: () => validated };
}

function templated(url: string): string {
  return url.replaceAll(/:(\w+)/g, '{$1}');
}
