import { readFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Check } from './check.js';
import { filesBelow } from './files.js';

const page = 'docs/guarantees.md';
const checkerFolder = 'tests/integration/sim/checkers';
const guaranteeCount = 16;

interface TableRow {
  readonly line: number;
  readonly cells: ReadonlyMap<string, string>;
}

/**
 * `docs/guarantees.md` claims that tests hold each guarantee, requirement and trap. Here the claims are held to the code:
 * each row of a table with a column "Test" names at least one test, written as a path in backticks followed by titles in
 * “typographic quotes”; the file exists and has a test of that title. Scenario files (`.yaml`) are their own title; a suite that
 * runs against each implementation (`-conformance.ts`) has titles as a test file has.
 */
export const guarantees: Check = {
  name: 'guarantees',
  remedy: `name the test in ${page}: a path in backticks, then its title in “quotes”; and see it fail without the real thing`,
  async run(root) {
    const text = await readFile(join(root, page), 'utf8');
    const rows = tableRows(text).filter((row) => row.cells.has('Test'));
    const findings: string[] = [];
    for (const row of rows) {
      for (const problem of await problemsOfTests(root, row.cells.get('Test') ?? '')) {
        findings.push(`${page}:${row.line} ${row.cells.values().next().value ?? ''}: ${problem}`);
      }
    }
    findings.push(...missingPaths(root, text), ...(await unlinkedCheckers(root, text)));
    for (let number = 1; number <= guaranteeCount; number += 1) {
      const row = rows.find(({ cells }) => cells.get('Guarantee id') === `G${number}`);
      if (row === undefined) findings.push(`${page}: no row for G${number}`);
      else if (!(row.cells.get('Checker') ?? '').includes(`${checkerFolder}/`)) {
        findings.push(`${page}:${row.line} G${number}: no checker is linked`);
      }
    }
    return { read: rows.length, unit: 'rows', findings };
  },
};

/** Rows of all tables, with their cells by the heading of the column. */
export function tableRows(text: string): TableRow[] {
  const rows: TableRow[] = [];
  let headings: readonly string[] | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    if (!line.startsWith('|')) {
      headings = null;
      continue;
    }
    const cells = line
      .slice(1, line.lastIndexOf('|'))
      .split('|')
      .map((cell) => cell.trim());
    if (headings === null) headings = cells;
    else if (!cells.every((cell) => /^:?-+:?$/.test(cell))) {
      rows.push({ line: index + 1, cells: new Map(headings.map((heading, column) => [heading, cells[column] ?? ''])) });
    }
  }
  return rows;
}

async function problemsOfTests(root: string, cell: string): Promise<string[]> {
  const references = [...cell.matchAll(/`([^`]+(?:\.test\.ts|-conformance\.ts|\.yaml))`((?:[\s,]*“[^”]+”)*)/g)];
  if (references.length === 0) return ['no test is named'];
  const problems: string[] = [];
  for (const [, path = '', quoted = ''] of references) {
    if (!existsSync(join(root, path))) {
      problems.push(`there is no ${path}`);
      continue;
    }
    const wanted = [...quoted.matchAll(/“([^”]+)”/g)].map(([, title = '']) => title);
    if (wanted.length === 0 && !path.endsWith('.yaml')) problems.push(`${path}: no title is named`);
    const titles = titlePatterns(await readFile(join(root, path), 'utf8'));
    for (const title of wanted) {
      if (!titles.some((pattern) => pattern.test(title))) problems.push(`${path} has no test “${title}”`);
    }
  }
  return problems;
}

/** The titles of a test file; what is filled in at run time (`${…}`, `%s`) matches anything. */
export function titlePatterns(text: string): RegExp[] {
  const calls = text.matchAll(/\b(?:it|test|describe)\b(?:\.\w+)*(?:\([^()]*\))?\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g);
  return [...calls].map(([, , title = '']) => {
    const parts = title.replace(/\\(.)/g, '$1').split(/\$\{[^}]*\}|%[sdifjo]|\$\w+/);
    return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.+')}$`);
  });
}

/** Any path in backticks that looks like a file of this repository has to be one. */
function missingPaths(root: string, text: string): string[] {
  const paths = new Set(
    [...text.matchAll(/`((?:master|slave|activation|shared|cli|scripts|tests|docs)\/[^`*… ]+\.\w+)`/g)].map(
      ([, path = '']) => path,
    ),
  );
  return [...paths].filter((path) => !existsSync(join(root, path))).map((path) => `${page}: there is no ${path}`);
}

async function unlinkedCheckers(root: string, text: string): Promise<string[]> {
  const checkers = (await filesBelow(root, checkerFolder, '.ts')).filter((path) =>
    /\/g\d+-[^/]*(?<!\.test)\.ts$/.test(path),
  );
  return checkers.filter((path) => !text.includes(path)).map((path) => `${page}: ${path} is not mentioned`);
}
