import { readFileSync } from 'node:fs';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml';
import { errorText, LockstepError } from '../shared/protocol/kernel/errors.js';
import { parseTexts, type ConfigKey } from './config-keys.js';
import { nearest } from './nearest.js';

export interface FileValue {
  readonly value: unknown;
  readonly line: number;
}

export interface ConfigProblem {
  readonly line: number;
  readonly message: string;
}

export interface ConfigFile {
  readonly values: ReadonlyMap<string, FileValue>;
  /** In the order of their lines; nothing of a file with any is used. */
  readonly problems: readonly ConfigProblem[];
}

/** Who else reads such files: its keys are known, though not here. */
export interface OtherRole {
  readonly name: string;
  readonly keys: readonly ConfigKey[];
}

const maxFileBytes = 1024 * 1024;

/** Throws `bad-option` when the file can't be read. */
export function readConfigText(file: string, where: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new LockstepError('bad-option', `${where} ${file} can't be read (${errorText(error)})`, { cause: error });
  }
  if (bytes.length <= maxFileBytes) return bytes.toString('utf8');
  throw new LockstepError(
    'bad-option',
    `${where} ${file} has ${bytes.length} bytes; a configuration has at most ${maxFileBytes}`,
  );
}

/** A map of keys and values in YAML. Whatever is wrong is told with its line. */
export function parseConfig(
  text: string,
  {
    keys,
    role,
    other,
  }: { readonly keys: readonly ConfigKey[]; readonly role: string; readonly other: OtherRole | null },
): ConfigFile {
  const lines = new LineCounter();
  // Keys that come twice are reported below, with both lines.
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false });
  const lineOf = (node: Node | null, fallback: number): number =>
    node?.range === undefined || node.range === null ? fallback : lines.linePos(node.range[0]).line;
  const problems: ConfigProblem[] = document.errors.map((error) => ({
    line: lines.linePos(error.pos[0]).line,
    message: `no YAML: ${error.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? ''}`,
  }));
  const values = new Map<string, FileValue>();
  if (problems.length > 0 || document.contents === null) return { values, problems };
  if (!isMap<Node, Node | null>(document.contents)) {
    if (isScalar(document.contents) && document.contents.value === null) return { values, problems };
    return {
      values,
      problems: [{ line: lineOf(document.contents, 1), message: 'must be keys and values, such as port: 7402' }],
    };
  }
  const firstLines = new Map<string, number>();
  for (const { key: keyNode, value: node } of document.contents.items) {
    const line = lineOf(keyNode, 1);
    const name = isScalar(keyNode) ? String(keyNode.value) : '';
    const tell = (message: string): void => void problems.push({ line: lineOf(node, line), message });
    const before = firstLines.get(name);
    firstLines.set(name, before ?? line);
    const known = keys.find(({ key }) => key === name);
    if (known === undefined) problems.push({ line, message: unknownKey(name, { keys, role, other }) });
    else if (before !== undefined)
      problems.push({ line, message: `key '${name}' is on line ${before} already; give it once` });
    else {
      const read = readValue(known, node, document);
      if (!read.ok) tell(`${name} ${read.reason}`);
      else if (read.value !== undefined) values.set(name, { value: read.value, line });
    }
  }
  return { values, problems: problems.sort((a, b) => a.line - b.line) };
}

function unknownKey(
  name: string,
  {
    keys,
    role,
    other,
  }: { readonly keys: readonly ConfigKey[]; readonly role: string; readonly other: OtherRole | null },
): string {
  if (other?.keys.some(({ key }) => key === name) === true)
    return `key '${name}' is for a ${other.name}, and this is read by a ${role}`;
  const meant = nearest(
    name,
    keys.map(({ key }) => key),
  );
  return `unknown key '${name}': ${meant === null ? `there is ${keys.map(({ key }) => key).join(', ')}` : `did you mean '${meant}'?`}`;
}

type ReadValue = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string };

/** Undefined: as if the key weren't there. */
function readValue(known: ConfigKey, given: Node | null, document: Document): ReadValue {
  const node = resolved(given, document);
  if (node === null || (isScalar(node) && node.value === null))
    return { ok: false, reason: 'has no value; give one, or leave the key out' };
  if (known.option.isBoolean()) {
    if (isScalar(node) && typeof node.value === 'boolean') return { ok: true, value: node.value ? true : undefined };
    return { ok: false, reason: 'must be true or false' };
  }
  const items = isSeq<Node | null>(node) ? node.items.map((item) => resolved(item, document)) : [node];
  if (isSeq(node) && (!known.isList || items.length === 0))
    return {
      ok: false,
      reason: known.isList ? 'is an empty list; name at least one' : 'must be one value, and is a list',
    };
  const texts = items.map(textOf);
  const place = texts.indexOf(null);
  if (place >= 0) {
    const item = items[place] ?? null;
    const what = isMap(item) ? 'keys and values' : isScalar(item) ? JSON.stringify(item.value) : 'a list';
    return { ok: false, reason: `must be a text${known.isList ? ', or a list of texts' : ''}, and is ${what}` };
  }
  return parseTexts(known, texts as readonly string[]);
}

function resolved(node: Node | null, document: Document): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : node;
}

/** As it stands in the file: a name such as 007 is no number. */
function textOf(node: Node | null): string | null {
  if (!isScalar(node)) return null;
  if (typeof node.value === 'string') return node.value;
  return typeof node.value === 'number' ? (node.source ?? String(node.value)) : null;
}
