import type { FastifyInstance } from 'fastify';
import { packageVersion } from '../../metrics/version.js';
import { json, ref, type Answer, type Operation, type Role } from './build.js';
import { cycleOperations, cycleSchemas } from './cycle.js';
import { cycleCopyOperations, cycleCopySchemas } from './cycle-copy.js';
import { dataOperations } from './data.js';
import { nodeOperations } from './node.js';
import { schemas } from './schemas.js';

/** A route that is served has its operation in one of these; a test holds one against the other. */
export const operations: readonly Operation[] = [
  ...dataOperations,
  ...nodeOperations,
  ...cycleOperations,
  ...cycleCopyOperations,
];

/** What any request can meet. */
const everywhere: Readonly<Record<number, string>> = {
  400: 'The request is wrong.',
  401: 'No token came, or none that this node knows.',
  403: "The token's role is not enough, or a page of another origin asked.",
  404: 'There is no such thing.',
  500: 'Our own bug.',
  503: 'Not now.',
};
const further: Readonly<Record<number, string>> = {
  409: 'It does not fit the state that there is.',
  410: 'The feed can not begin there; the message says what to do.',
  413: 'The body or the change is too large.',
  414: 'A key in the path is too long.',
  415: 'The body is not application/json.',
  504: 'The version did not come in time.',
};

const about: Readonly<Record<Role, string>> = {
  master: 'Keeps one data set the same on many servers. docs/http.md',
  slave: 'Keeps one data set the same on many servers. docs/http.md',
  'data-server': 'Owns the three copies of a pull cycle. docs/cycle.md',
  'cycle-copy': 'Shows what its data server says, at the prearranged instant. docs/cycle-copies.md',
};

const furtherSchemas: Partial<Readonly<Record<Role, object>>> = {
  'data-server': cycleSchemas,
  'cycle-copy': cycleCopySchemas,
};

/** The OpenAPI 3.1 document of one side. */
export function openApiOf(role: Role): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of operations) {
    if (!operation.at.includes(role)) continue;
    const { path, method } = operation;
    paths[path] = { ...paths[path], [method]: operationObject(operation) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: `Lockstep ${role}`,
      version: packageVersion,
      description: `${about[role]} says more about each route.`,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    tags: ['data', 'changes', 'cycle', 'feed', 'operators', 'node'].map((name) => ({ name })),
    security: [{ token: [] }, {}],
    paths,
    components: {
      schemas: { ...schemas, ...furtherSchemas[role] },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  };
}

function operationObject(operation: Operation): object {
  const { operationId, summary, tag, parameters, body, open } = operation;
  return {
    operationId,
    summary,
    tags: [tag],
    ...(parameters === undefined ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    ...(open === true ? { security: [{}] } : {}),
    responses: answersOf(operation),
  };
}

function answersOf({ answers, errors = [] }: Operation): Readonly<Record<string, Answer>> {
  const all: Record<string, Answer> = {};
  for (const [status, text] of Object.entries(everywhere)) all[status] = json(text, ref('Error'));
  for (const status of errors) all[status] = json(further[status] ?? 'An error.', ref('Error'));
  return { ...all, ...answers };
}

export function addOpenApiRoute(server: FastifyInstance, role: Role): void {
  const document = openApiOf(role);
  server.get('/v1/openapi.json', async (_request, reply) => reply.send(document));
}
