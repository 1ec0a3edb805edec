/** What the parts of the document are made of. Plain data; only the fields that are used here. */

export type Schema = Readonly<Record<string, unknown>>;
export type Role = 'master' | 'slave' | 'data-server' | 'cycle-copy';

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description: string;
  readonly schema: Schema;
}

export interface Answer {
  readonly description: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

export interface Operation {
  readonly method: 'get' | 'put' | 'post' | 'delete';
  /** As OpenAPI writes it: `/v1/data/{dataSet}`. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly tag: 'data' | 'changes' | 'cycle' | 'feed' | 'operators' | 'node';
  /** Where the route is. */
  readonly at: readonly Role[];
  readonly parameters?: readonly Parameter[];
  readonly body?: Schema;
  /** By status; errors that any request can meet are added. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Further statuses with an error. */
  readonly errors?: readonly number[];
  /** Without a token too. */
  readonly open?: boolean;
}

export const text: Schema = { type: 'string' };
export const flag: Schema = { type: 'boolean' };
export const count: Schema = { type: 'integer', minimum: 0 };
export const number: Schema = { type: 'number' };
export const moment: Schema = { type: 'string', format: 'date-time' };

export function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

export function list(items: Schema): Schema {
  return { type: 'array', items };
}

export function choice(...values: readonly string[]): Schema {
  return { type: 'string', enum: values };
}

export function orNull(schema: Schema): Schema {
  return { anyOf: [schema, { type: 'null' }] };
}

/** All properties are required, but those named as optional; there are no others. */
export function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  return {
    type: 'object',
    properties,
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
    additionalProperties: false,
  };
}

export function json(description: string, schema: Schema): Answer {
  return { description, content: { 'application/json': { schema } } };
}

/** With the headers that name the state which an answer was read from. */
export function atVersion(answer: Answer): Answer {
  const header = (description: string, schema: Schema): unknown => ({ description, schema });
  return {
    ...answer,
    headers: {
      'Lockstep-Epoch': header('The reign in which the state was made.', count),
      'Lockstep-Version': header('Its version; 0: nothing yet.', count),
      'Lockstep-Current': header('Whether everything committed up to one lease ago shows here.', flag),
    },
  };
}

export function inPath(name: string, description: string): Parameter {
  return { name, in: 'path', required: true, description, schema: text };
}

export function inQuery(name: string, description: string, schema: Schema): Parameter {
  return { name, in: 'query', required: false, description, schema };
}

export const dataSet = inPath('dataSet', 'The name of the data set.');
/** The two that replicate. */
export const bothRoles: readonly Role[] = ['master', 'slave'];
/** Those that hold a copy, or the original. */
export const readRoles: readonly Role[] = [...bothRoles, 'cycle-copy'];
export const everyRole: readonly Role[] = [...readRoles, 'data-server'];
