import type { StandardSchemaV1 } from '@standard-schema/spec';
import { errorText, LockstepError } from '../kernel/errors.js';
import type { Columns } from './change-codec.js';

/**
 * A Standard Schema (version 1) whose input is a value: of zod, valibot, arktype and others. It only judges. What is
 * stored is what was given, so defaults, coercions and transforms of the schema change nothing.
 */
export type ValueSchema<Value> = StandardSchemaV1<Value, unknown>;

/** Why a value is refused. `isMisuse`: whatever the value, this schema can't judge it. */
export interface SchemaFault {
  readonly text: string;
  readonly isMisuse: boolean;
}

/** Throws `bad-option` for what isn't a Standard Schema. */
export function checkSchema(schema: unknown): void {
  const standard: unknown = isObject(schema) ? schema['~standard'] : undefined;
  if (isObject(standard) && standard['version'] === 1 && typeof standard['validate'] === 'function') return;
  throw new LockstepError(
    'bad-option',
    'schema: this is no Standard Schema of version 1; zod from 3.24 on, valibot from 1.0 on and arktype from 2.0 on make them',
  );
}

/** Null: the value fits. A schema that throws refuses. */
export function schemaFault(schema: ValueSchema<unknown>, value: unknown): SchemaFault | null {
  let result: ReturnType<StandardSchemaV1['~standard']['validate']>;
  try {
    result = schema['~standard'].validate(value);
  } catch (error) {
    return { text: `the schema threw: ${errorText(error)}`, isMisuse: false };
  }
  if ('then' in result) {
    // Its answer comes too late for anybody, its failure too.
    result.then(undefined, () => undefined);
    return {
      text: 'the schema gave a promise: it is asynchronous, or it threw; take one that answers at once',
      isMisuse: true,
    };
  }
  if (result.issues === undefined) return null;
  return { text: issuesText(result.issues), isMisuse: false };
}

/** A caller's own values. Throws `bad-operation` for the first put that doesn't fit, naming its position and its key. */
export function checkValues(schema: ValueSchema<unknown>, { keys, values, deletes }: Columns): void {
  let nextDelete = 0;
  keys.forEach((key, position) => {
    if (deletes[nextDelete] === position) {
      nextDelete += 1;
      return;
    }
    const fault = schemaFault(schema, values[position]);
    if (fault === null) return;
    throw new LockstepError(
      fault.isMisuse ? 'bad-option' : 'bad-operation',
      `operation ${position} (key ${JSON.stringify(key)}): ${fault.text}`,
    );
  });
}

const shownIssues = 3;

function issuesText(issues: readonly StandardSchemaV1.Issue[]): string {
  if (issues.length === 0) return 'it does not fit the schema';
  const shown = issues.slice(0, shownIssues).map(({ message, path }) => {
    const where = pathText(path ?? []);
    return where === '' ? message : `${where}: ${message}`;
  });
  const more = issues.length - shown.length;
  return more > 0 ? `${shown.join('; ')}; and ${more} more` : shown.join('; ');
}

/** As one would write it in code: `items[2].price`. */
function pathText(path: NonNullable<StandardSchemaV1.Issue['path']>): string {
  return path.reduce((text: string, part) => {
    const key = typeof part === 'object' ? part.key : part;
    if (typeof key === 'number') return `${text}[${key}]`;
    const name = String(key);
    if (!/^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(name)) return `${text}[${JSON.stringify(name)}]`;
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (typeof value === 'object' || typeof value === 'function') && value !== null;
}
