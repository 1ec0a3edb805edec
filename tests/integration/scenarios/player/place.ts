import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, stringify } from 'yaml';
import type { Document, Node } from 'yaml';

/** What is wrong with a scenario file, in one line that names the file, the line and what to give instead. */
export class BadScenario extends Error {
  override readonly name = 'BadScenario';
}

interface Source {
  readonly file: string;
  readonly lines: LineCounter;
  readonly document: Document;
}

/** A value of a YAML file that knows its line: everything that is read from one is checked here. */
export class Place {
  readonly line: number;
  readonly #source: Source;
  readonly #node: Node;

  private constructor(source: Source, node: Node, line: number) {
    this.#source = source;
    this.#node = node;
    this.line = line;
  }

  /** The whole file. Throws `BadScenario` for what is no YAML. */
  static of(file: string, text: string): Place {
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines });
    const [error] = document.errors;
    if (error !== undefined) {
      const [firstLine = ''] = error.message.split('\n');
      throw new BadScenario(`${file}:${error.linePos?.[0].line ?? 1}: ${firstLine.replace(/ at line.*$/, '')}`);
    }
    if (document.contents === null) throw new BadScenario(`${file}:1: the file is empty; give title and steps`);
    const source = { file, lines, document };
    return new Place(source, document.contents, 1);
  }

  /** On one line, as a person would write it. */
  get text(): string {
    return stringify(this.value, { collectionStyle: 'flow', lineWidth: 0 }).trim();
  }

  get value(): unknown {
    return this.#node.toJS(this.#source.document) as unknown;
  }

  /** The entries of a map whose keys are among the known ones. */
  map(what: string, known: readonly string[]): ReadonlyMap<string, Place> {
    if (!isMap(this.#node)) throw this.wrong(`${what} has to be a map with ${known.join(', ')}`);
    const entries = new Map<string, Place>();
    for (const [key, value] of this.#pairs(what)) {
      if (!known.includes(key.name)) throw key.at.wrong(`${what} knows no '${key.name}'${nearest(key.name, known)}`);
      entries.set(key.name, value);
    }
    return entries;
  }

  /** A map with keys of any name. */
  table(what: string): ReadonlyMap<string, Place> {
    if (!isMap(this.#node)) throw this.wrong(`${what} has to be a map`);
    return new Map(this.#pairs(what).map(([key, value]) => [key.name, value]));
  }

  list(what: string): readonly Place[] {
    if (!isSeq(this.#node)) throw this.wrong(`${what} has to be a list`);
    return this.#node.items.map((item) => this.#child(item, this.line));
  }

  /** One value stands for a list of one. */
  listOrOne(what: string): readonly Place[] {
    return isSeq(this.#node) ? this.list(what) : [this];
  }

  get isText(): boolean {
    return isScalar(this.#node) && typeof this.#node.value === 'string';
  }

  string(what: string): string {
    const { value } = this;
    if (typeof value === 'string' && value !== '') return value;
    throw this.wrong(`${what} has to be a text, not ${this.text}`);
  }

  number(what: string): number {
    const { value } = this;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw this.wrong(`${what} has to be a number, not ${this.text}`);
  }

  count(what: string, bounds: { readonly least?: number; readonly most?: number } = {}): number {
    const { least = 0, most = Number.MAX_SAFE_INTEGER } = bounds;
    const value = this.number(what);
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    throw this.wrong(`${what} has to be a whole number from ${least} to ${most}, not ${this.text}`);
  }

  boolean(what: string): boolean {
    const { value } = this;
    if (typeof value === 'boolean') return value;
    throw this.wrong(`${what} has to be true or false, not ${this.text}`);
  }

  oneOf<const Choice extends string>(what: string, choices: readonly Choice[]): Choice {
    const { value } = this;
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    const named = typeof value === 'string' ? nearest(value, choices) : '';
    throw this.wrong(`${what} has to be one of ${choices.join(', ')}, not ${this.text}${named}`);
  }

  /** For a key of a table, which this is the value of. */
  keyOneOf<const Choice extends string>(what: string, key: string, choices: readonly Choice[]): Choice {
    const found = choices.find((choice) => choice === key);
    if (found !== undefined) return found;
    throw this.wrong(`${what} knows no '${key}'${nearest(key, choices)}`);
  }

  /** For a name that this step uses and an earlier one has to make known. */
  nameAmong(what: string, name: string, known: readonly string[]): void {
    if (!known.includes(name)) throw this.wrong(`${what}: no '${name}'${nearest(name, known)}`);
  }

  /** `500ms`, `2s`, or a bare number of milliseconds; at most a minute. */
  duration(what: string): number {
    const { value } = this;
    const match = /^(\d+(?:\.\d+)?)\s*(ms|s)?$/.exec(String(value));
    const ms = match === null ? NaN : Number(match[1]) * (match[2] === 's' ? 1000 : 1);
    if (ms >= 0 && ms <= longestMs) return ms;
    throw this.wrong(`${what} has to be a duration like 500ms or 2s, at most ${longestMs / 1000}s, not ${this.text}`);
  }

  wrong(text: string): BadScenario {
    return new BadScenario(`${this.#source.file}:${this.line}: ${text}`);
  }

  #pairs(what: string): (readonly [{ readonly name: string; readonly at: Place }, Place])[] {
    if (!isMap(this.#node)) return [];
    return this.#node.items.map((pair) => {
      const at = this.#child(pair.key, this.line);
      if (!isScalar(pair.key)) throw at.wrong(`${what} has a key that is no text`);
      return [{ name: String(pair.key.value), at }, this.#child(pair.value, at.line)] as const;
    });
  }

  #child(node: unknown, fallbackLine: number): Place {
    const range = isMap(node) || isSeq(node) || isScalar(node) || isAlias(node) ? node.range : undefined;
    const line = range === undefined || range === null ? fallbackLine : this.#source.lines.linePos(range[0]).line;
    if (isMap(node) || isSeq(node) || isScalar(node)) return new Place(this.#source, node, line);
    throw new BadScenario(
      `${this.#source.file}:${line}: ${isAlias(node) ? 'write it out: aliases would hide what a step does' : 'a value is missing'}`,
    );
  }
}

/** Longer than any deadline of the protocol; a scenario is bounded in time by its steps. */
const longestMs = 60_000;

/** The known word that was probably meant. */
function nearest(word: string, known: readonly string[]): string {
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  if (best === undefined) return '';
  if (best.distance > Math.max(2, best.candidate.length / 2)) return `; it knows ${known.join(', ')}`;
  return `; did you mean '${best.candidate}'?`;
}

/** Letters to insert, remove or replace, by one row of the table at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
