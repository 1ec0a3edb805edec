import { rmSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const project = fileURLToPath(new URL('../..', import.meta.url));
const folders = ['master', 'slave', 'shared', 'scripts/bench'];

/**
 * Translates what the measured processes run, as the published package is translated: a loader that translates while
 * they run would be measured as well. Returns the folder: below the installed packages, so that imports find them, and of
 * this run alone, since other checkouts may share those.
 */
export async function compileForBench(): Promise<string> {
  const caches = join(project, 'node_modules', '.cache');
  await mkdir(caches, { recursive: true });
  const target = await mkdtemp(join(caches, 'lockstep-bench-'));
  process.once('exit', () => rmSync(target, { recursive: true, force: true }));
  // The code is of the package's scope: it finds the package by its name, as it does where it is installed.
  await copyFile(join(project, 'package.json'), join(target, 'package.json'));
  for (const folder of folders) {
    const entries = await readdir(join(project, folder), { recursive: true });
    const sources = entries.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
    await Promise.all(sources.map((name) => compileFile(join(folder, name), target)));
  }
  return target;
}

async function compileFile(path: string, target: string): Promise<void> {
  const text = await readFile(join(project, path), 'utf8');
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
    fileName: path,
  });
  const to = join(target, path.replace(/\.ts$/, '.js'));
  await mkdir(dirname(to), { recursive: true });
  await writeFile(to, outputText);
}
