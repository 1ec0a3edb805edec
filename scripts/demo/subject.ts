import { readFile } from 'node:fs/promises';
import { parseRecords, type LoadedRecord } from '../../cli/records.js';
import { errorText } from '../../shared/protocol/kernel/errors.js';
import type { Json } from '../../shared/protocol/key-value/operations.js';

/** The data that the demo shows, and what it changes of it. */
export interface Subject {
  readonly records: readonly LoadedRecord[];
  /** The record whose price changes. */
  readonly key: string;
  /** The field that is called its price. */
  readonly field: string;
  /** What it is in the file. */
  readonly price: number;
  /** The record's value at another price. */
  priced(price: number): Json;
  /** The price in a value that was read. */
  priceIn(value: Json): number | null;
}

type JsonObject = Readonly<Record<string, Json>>;

const usualPriceFields = ['cents', 'price', 'amount', 'cost'];
/** More would not be loaded and shown within the time that the demo gives itself. */
const maxRecords = 50_000;

/** Rejects with the line for a file that is malformed, and with what is wrong for one that can't be shown. */
export async function readSubject(file: string): Promise<Subject> {
  const format = file.toLowerCase().endsWith('.csv') ? 'csv' : 'ndjson';
  const bytes = await readFile(file);
  const records = recordsIn(file, () => parseRecords(bytes, { format }));
  const first = records[0];
  if (first === undefined) throw new Error(`${file}: holds no record`);
  if (records.length > maxRecords) {
    throw new Error(`${file}: holds ${records.length} records; the demo takes at most ${maxRecords}`);
  }
  const field = priceField(records) ?? 'price';
  const chosen = records.find(({ value }) => isObject(value) && typeof value[field] === 'number') ?? first;
  const base: JsonObject = isObject(chosen.value) ? chosen.value : { value: chosen.value };
  const price = base[field];
  return {
    records,
    key: chosen.key,
    field,
    // A file without a number gets a price: the story needs one.
    price: typeof price === 'number' ? price : 0,
    priced: (changed) => ({ ...base, [field]: changed }),
    priceIn: (value) => {
      const found = isObject(value) ? value[field] : undefined;
      return typeof found === 'number' ? found : null;
    },
  };
}

function recordsIn(file: string, parse: () => readonly LoadedRecord[]): readonly LoadedRecord[] {
  try {
    return parse();
  } catch (error) {
    throw new Error(`${file}: ${errorText(error)}`, { cause: error });
  }
}

/** The module that one slave judges changes with. */
export function validatorText(field: string): string {
  const name = JSON.stringify(field);
  return `export function validate(operation) {
  if ('put' in operation && operation.put[1]?.[${name}] < 0) return ${JSON.stringify(`${field} must not be negative`)};
  return true;
}
`;
}

/** A field that is a number somewhere and below zero nowhere, since a negative one is to be refused. */
function priceField(records: readonly LoadedRecord[]): string | undefined {
  const fits = new Map<string, boolean>();
  for (const { value } of records) {
    if (!isObject(value)) continue;
    for (const [name, content] of Object.entries(value)) {
      if (typeof content === 'number') fits.set(name, content >= 0 && fits.get(name) !== false);
    }
  }
  const fitting = [...fits].filter(([, isFit]) => isFit).map(([name]) => name);
  return usualPriceFields.find((name) => fitting.includes(name)) ?? fitting[0];
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
