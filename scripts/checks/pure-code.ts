import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import type { Check } from './check.js';
import { filesBelow } from './files.js';

const pureFolders = [
  'master/service/core',
  'slave/service/core',
  'activation/core',
  'activation/copy/core',
  'shared/protocol',
] as const;

/** Anything that is different at a second run of the same seed, or that only a machine has. */
const forbiddenNames: ReadonlySet<string> = new Set([
  ...['Date', 'performance', 'console', 'process', 'Promise', 'AbortSignal', 'AbortController', 'globalThis', 'crypto'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'queueMicrotask', 'fetch'],
]);

/** Cores and protocol are synchronous and know no clock, chance, promise or log: only so does a seed replay exactly. */
export const pureCode: Check = {
  name: 'pure-code',
  remedy: 'give it in as an input (nowMs, a seeded Random) or hand it out as an effect; the service does the rest',
  async run(root) {
    const findings: string[] = [];
    let read = 0;
    for (const folder of pureFolders) {
      for (const path of await filesBelow(root, folder, '.ts')) {
        if (path.endsWith('.test.ts')) continue;
        read += 1;
        findings.push(...impurities(path, await readFile(join(root, path), 'utf8')));
      }
    }
    return { read, unit: 'files', findings };
  },
};

export function impurities(path: string, text: string): string[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const findings: string[] = [];
  const report = (node: ts.Node, what: string): void => {
    findings.push(`${path}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1} ${what}`);
  };
  const own = declaredNames(source);
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && forbiddenNames.has(node.text) && !own.has(node.text) && !isOnlyAName(node)) {
      report(node, node.text);
    }
    if (ts.isPropertyAccessExpression(node) && node.getText(source) === 'Math.random') report(node, 'Math.random');
    if (node.kind === ts.SyntaxKind.AsyncKeyword) report(node, 'async');
    if (ts.isAwaitExpression(node)) report(node, 'await');
    ts.forEachChild(node, visit);
  };
  visit(source);
  return findings;
}

/** What the file itself calls so: a variable or parameter `fetch` is not the global one. */
function declaredNames(source: ts.SourceFile): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if ((ts.isVariableDeclaration(node) || ts.isParameter(node)) && ts.isIdentifier(node.name))
      names.add(node.name.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return names;
}

/** `view.process` or `{ process: 1 }` use the word, not the global behind it. */
function isOnlyAName(node: ts.Identifier): boolean {
  const parent = node.parent;
  return (
    (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
    ((ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isMethodDeclaration(parent)) &&
      parent.name === node)
  );
}
