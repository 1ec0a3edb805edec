import { LockstepError } from '../shared/protocol/kernel/errors.js';
import type { Json } from '../shared/protocol/key-value/operations.js';
import { cellValue, usualKeyFields } from './cells.js';

type Row = readonly [key: string, value: Json];

/** One record a line, in the order given, as `lockstep load` reads them back. */
export function ndjsonText(rows: readonly Row[]): string {
  return rows.map(([key, value]) => `${JSON.stringify({ key, value })}\n`).join('');
}

/**
 * A header and a row for each record. Rejects with `bad-input` what `lockstep load` would read back as something else: CSV
 * has no types, and no place for what isn't a column.
 */
export function csvText(rows: readonly Row[], options: { readonly keyField?: string } = {}): string {
  const [first] = rows;
  if (first === undefined) return '';
  const { keyField = keyFieldOf(first) } = options;
  const others = isObject(first[1]) ? Object.keys(first[1]).filter((name) => name !== keyField) : [];
  const columns = [keyField, ...others];
  const lines = rows.map(([key, value]) =>
    rowOf(key, value, { keyField, columns, mayAdd: options.keyField !== undefined }),
  );
  return [columns.map(quoted).join(','), ...lines].join('\n') + '\n';
}

function keyFieldOf([key, value]: Row): string {
  const found = usualKeyFields.find((name) => isObject(value) && holdsKey(value[name], key));
  if (found !== undefined) return found;
  throw wrong(
    key,
    `its value has no field ${usualKeyFields.join(', ')} that is the key, and a CSV row is all there is; --key FIELD adds it as a column, which reads back as part of the value`,
  );
}

function rowOf(
  key: string,
  value: Json,
  {
    keyField,
    columns,
    mayAdd,
  }: { readonly keyField: string; readonly columns: readonly string[]; readonly mayAdd: boolean },
): string {
  if (!isObject(value)) throw wrong(key, 'its value is no object, and a CSV row reads back as one');
  const has = keyField in value;
  if (has ? !holdsKey(value[keyField], key) : !mayAdd)
    throw wrong(key, `its field ${keyField} is ${has ? 'not the key' : 'missing'}`);
  const strange = Object.keys(value).find((name) => !columns.includes(name));
  if (strange !== undefined) throw wrong(key, `it has a field ${strange}, which the first record hasn't`);
  return columns
    .map((name) => {
      if (!(name in value)) {
        if (name === keyField) return quoted(key);
        throw wrong(key, `it has no field ${name}, which the first record has`);
      }
      return cellOf(key, name, value[name] ?? null);
    })
    .join(',');
}

function cellOf(key: string, name: string, value: Json): string {
  const cell = typeof value === 'string' ? value : JSON.stringify(value);
  if (cellValue(cell) === value) return quoted(cell);
  const what = typeof value === 'string' ? `the text ${JSON.stringify(value)}` : cell;
  throw wrong(key, `its field ${name} is ${what}, which CSV reads back as ${JSON.stringify(cellValue(cell))}`);
}

function quoted(cell: string): string {
  // A line of one empty cell would be an empty line, which is skipped.
  return cell === '' || /[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

/** As `load` takes a key from a field. */
function holdsKey(value: Json | undefined, key: string): boolean {
  return value === key || (typeof value === 'number' && String(value) === key);
}

function isObject(value: Json): value is Readonly<Record<string, Json>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(key: string, why: string): LockstepError {
  return new LockstepError('bad-input', `CSV can't hold ${key}: ${why}; export NDJSON, which holds everything`);
}
