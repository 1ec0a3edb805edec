import { readdir, readFile } from 'node:fs/promises';
import ts from 'typescript';

/** The code in documents: taken out, type-checked against the real modules, and made callable. */

export const root = new URL('../../../', import.meta.url);

export interface Block {
  readonly document: string;
  /** Of the fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
}

/** Every page that people read, by its path from the root. Decisions are told of their time, and stay as they were. */
export async function pages(): Promise<readonly string[]> {
  const below = await Promise.all(
    ['docs', 'deploy', 'examples'].map(async (folder) =>
      (await readdir(new URL(folder, root), { recursive: true })).map((name) => `${folder}/${name}`),
    ),
  );
  return ['README.md', 'CONTRIBUTING.md', ...below.flat().sort()].filter(
    (name) => name.endsWith('.md') && !name.startsWith('docs/adr/'),
  );
}

export async function blocksOf(document: string, language: string): Promise<Block[]> {
  const lines = (await readFile(new URL(document, root), 'utf8')).split('\n');
  const blocks: Block[] = [];
  let open: { readonly line: number; readonly language: string; readonly code: string[] } | null = null;
  for (const [index, line] of lines.entries()) {
    const fence = /^```(\w*)\s*$/.exec(line);
    if (fence === null) open?.code.push(line);
    else if (open === null) open = { line: index + 1, language: fence[1] ?? '', code: [] };
    else {
      if (open.language === language) blocks.push({ document, line: open.line, language, code: open.code.join('\n') });
      open = null;
    }
  }
  return blocks;
}

/** What the compiler says about the blocks, each a module of its own, under the strict options of the project. */
export function typeProblems(blocks: readonly { readonly name: string; readonly code: string }[]): string[] {
  const folder = new URL('documented/', root).pathname;
  const sources = new Map(blocks.map(({ name, code }) => [`${folder}${name}.ts`, code]));
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    noEmit: true,
    paths: {
      'lockstep/master': [new URL('master/index.ts', root).pathname],
      'lockstep/slave': [new URL('slave/index.ts', root).pathname],
      'lockstep/testing': [new URL('tests/integration/sim/index.ts', root).pathname],
    },
  };
  const machine = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...machine,
    fileExists: (name) => sources.has(name) || machine.fileExists(name),
    readFile: (name) => sources.get(name) ?? machine.readFile(name),
    getSourceFile: (name, version) => {
      const code = sources.get(name);
      return code === undefined ? machine.getSourceFile(name, version) : ts.createSourceFile(name, code, version);
    },
  };
  const program = ts.createProgram([...sources.keys()], options, host);
  // The blocks alone: the modules that they import are checked where they stand.
  const files = [...sources.keys()].map((name) => program.getSourceFile(name));
  return files
    .flatMap((source) => [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)])
    .map(({ file, start, messageText }) => {
      const line =
        file === undefined || start === undefined ? 0 : ts.getLineAndCharacterOfPosition(file, start).line + 1;
      return `${file?.fileName.slice(folder.length) ?? ''}:${line} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    });
}

/** The block as a function of what it imports or takes for granted; `end` is added at its end. */
export function callable(
  code: string,
  parameters: Readonly<Record<string, unknown>>,
  end: string,
): () => Promise<unknown> {
  const body = `${code.replaceAll(/^import .*$/gm, '')}\n${end}`;
  const { outputText } = ts.transpileModule(
    `async function documented(${Object.keys(parameters).join(', ')}) {\n${body}\n}`,
    {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.None },
    },
  );
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- this repository's own documents
  return new Function(
    ...Object.keys(parameters),
    `${outputText}\nreturn documented(${Object.keys(parameters).join(', ')});`,
  ).bind(null, ...Object.values(parameters)) as () => Promise<unknown>;
}
