import { Validator } from '@seriousme/openapi-schema-validator';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { addMasterRoutes } from '../../../master/http/api.js';
import { addPublishRoutes } from '../../../master/http/publish.js';
import { addSlaveRoutes } from '../../../slave/http/api.js';
import { RecordingLog } from '../../../tests/integration/process/http-fakes.js';
import { documented } from '../../../tests/support/documented.js';
import { addMetricsRoute } from '../metrics.js';
import { createServer } from '../server.js';
import { openApiOf, operations } from './document.js';

const sides = ['master', 'slave'] as const;

test.each(sides)('the document of a %s is valid OpenAPI 3.1', async (role) => {
  const result = await new Validator().validate(structuredClone(openApiOf(role)) as Record<string, unknown>);
  expect(result.errors ?? []).toEqual([]);
  expect(result.valid).toBe(true);
});

test.each(sides)('a %s serves the routes of its document and no others', async (role) => {
  const server = createServer(new RecordingLog());
  const { routes } = documented(server, role);
  const master = { node: 'm', dataSets: new Map(), whyNotLeading: () => null };
  if (role === 'master') {
    addMasterRoutes(server, master);
    addPublishRoutes(server, master, new Map());
  } else addSlaveRoutes(server, { node: 's', dataSets: new Map() });
  addMetricsRoute(server, new Registry());
  await server.ready();
  const written = operations.filter(({ at }) => at.includes(role)).map(({ method, path }) => `${method} ${path}`);
  expect([...routes].sort()).toEqual([...written].sort());
  expect((await server.inject('/v1/openapi.json')).json()).toEqual(openApiOf(role));
  await server.close();
});

test.each(sides)('a %s has an operation id of its own for each route, and each path parameter is described', (role) => {
  const own = operations.filter(({ at }) => at.includes(role));
  expect(new Set(own.map(({ operationId }) => operationId)).size).toBe(own.length);
  for (const { path, parameters = [] } of own) {
    const inPath = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
    expect(inPath, path).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
  }
});

test('an answer that is not as written is found, and so is a route that is not', async () => {
  const server = createServer(new RecordingLog());
  const { problems, routes, validated } = documented(server, 'master');
  server.get('/livez', async () => ({ live: true, more: 1 }));
  server.get('/v1/secret', async () => ({}));
  await server.inject('/livez');
  await server.inject('/v1/secret');
  expect(problems).toEqual([
    expect.stringContaining('get /livez 200: data must NOT have additional properties'),
    'get /v1/secret 200: no application/json is documented',
  ]);
  expect(validated()).toBe(1);
  expect(routes).toContain('get /v1/secret');
  await server.close();
});
