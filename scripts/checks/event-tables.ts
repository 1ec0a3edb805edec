import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';

/** The page that lists what happens, and where the code declares it: the tables are made of the declarations. */
export const eventsPage = 'docs/events.md';

interface EventTable {
  readonly title: string;
  readonly declarations: readonly { readonly path: string; readonly name: string }[];
}

const tables: readonly EventTable[] = [
  {
    title: 'master',
    declarations: [
      { path: 'master/service/core/events.ts', name: 'MasterCoreEvents' },
      { path: 'master/service/events.ts', name: 'MasterServiceEvents' },
    ],
  },
  {
    title: 'slave',
    declarations: [
      { path: 'slave/service/core/events.ts', name: 'SlaveCoreEvents' },
      { path: 'slave/service/events.ts', name: 'SlaveServiceEvents' },
    ],
  },
  {
    title: 'data server',
    declarations: [{ path: 'activation/data-server/events.ts', name: 'DataServerEvents' }],
  },
  {
    title: 'cycle copy',
    declarations: [
      { path: 'activation/copy/core/events.ts', name: 'CycleCopyCoreEvents' },
      { path: 'activation/copy/events.ts', name: 'CycleCopyServiceEvents' },
    ],
  },
  { title: 'node', declarations: [{ path: 'shared/runtime/events.ts', name: 'NodeEvents' }] },
];

export interface DeclaredEvent {
  readonly table: string;
  readonly name: string;
  readonly levels: readonly string[];
  readonly when: string;
  readonly fields: readonly { readonly name: string; readonly type: string }[];
}

/** Reads the declarations with the compiler, so that names of types are resolved to what they stand for. */
export function declaredEvents(root: string): DeclaredEvent[] {
  const paths = tables.flatMap(({ declarations }) => declarations.map(({ path }) => join(root, path)));
  const program = ts.createProgram(paths, {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    noEmit: true,
  });
  const checker = program.getTypeChecker();
  return tables.flatMap(({ title, declarations }) =>
    declarations.flatMap(({ path, name }) => {
      const source = program.getSourceFile(join(root, path));
      const found = source?.statements.find(
        (statement): statement is ts.InterfaceDeclaration =>
          ts.isInterfaceDeclaration(statement) && statement.name.text === name,
      );
      if (found === undefined) throw new Error(`${path} declares no ${name}`);
      return checker
        .getTypeAtLocation(found)
        .getProperties()
        .map((event) => declared(checker, title, event, found));
    }),
  );
}

function declared(checker: ts.TypeChecker, table: string, event: ts.Symbol, at: ts.Node): DeclaredEvent {
  const shape = checker.getTypeOfSymbolAtLocation(event, at);
  const part = (name: string): ts.Type => {
    const property = shape.getProperty(name);
    if (property === undefined) throw new Error(`the event '${event.name}' has no ${name}`);
    return checker.getTypeOfSymbolAtLocation(property, at);
  };
  const fields = part('fields')
    .getProperties()
    .map((field) => {
      const type = checker.getTypeOfSymbolAtLocation(field, at);
      return { name: field.name, type: typeText(checker.typeToString(type, undefined, fullText)) };
    });
  const when = ts.displayPartsToString(event.getDocumentationComment(checker)).replaceAll(/\s+/g, ' ').trim();
  const levels = [...checker.typeToString(part('level')).matchAll(/\w+/g)].map(([level]) => level);
  return { table, name: event.name, levels, when, fields };
}

const fullText = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.InTypeAlias;

function typeText(type: string): string {
  return type
    .replaceAll('"', '')
    .split(' | ')
    .map((part) => ({ string: 'text', undefined: 'absent', boolean: 'true or false' })[part] ?? part)
    .sort((a, b) => Number(a === 'null' || a === 'absent') - Number(b === 'null' || b === 'absent') || (a < b ? -1 : 1))
    .join(', ');
}

/** The page with its tables made anew. */
export function withEventTables(page: string, events: readonly DeclaredEvent[]): string {
  return tables.reduce((text, { title }) => {
    const [begin, end] = [`<!-- events of ${title} -->\n`, '<!-- end -->'];
    const from = text.indexOf(begin);
    const to = text.indexOf(end, from);
    if (from < 0 || to < 0) throw new Error(`${eventsPage} has no place for the events of ${title}`);
    const rows = events.filter((event) => event.table === title).map(rowOf);
    const table = ['| event | level | when | fields |', '|---|---|---|---|', ...rows, ''].join('\n');
    return text.slice(0, from + begin.length) + table + text.slice(to);
  }, page);
}

function rowOf({ name, levels, when, fields }: DeclaredEvent): string {
  const list = fields.map((field) => `\`${field.name}\` (${field.type})`).join(', ');
  return `| \`${name}\` | ${levels.join(', ')} | ${when} | ${list} |`;
}

export async function readEventsPage(root: string): Promise<string> {
  return readFile(join(root, eventsPage), 'utf8');
}
