import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Check } from './check.js';
import { filesBelow } from './files.js';
import { nonEmptyLines, runTool } from './run-tool.js';

/** Relative links and anchors of all documents resolve, and each decision record has its three parts. */
export const docs: Check = {
  name: 'docs',
  remedy: 'mend the link, or the heading that it names',
  async run(root) {
    const documents = await filesBelow(root, '', '.md');
    const findings: string[] = [];
    const { exitCode, errors } = await runTool(root, 'remark-cli/cli.js', [
      ...['--no-config', '--no-ignore', '--no-stdout', '--no-color', '--quiet', '--frail'],
      ...['--use', 'remark-validate-links=repository:false'],
      ...documents,
    ]);
    // A file's name stands on a line of its own, its findings indented below it.
    let document = '';
    for (const line of nonEmptyLines(errors)) {
      if (/^\S+\.md/.test(line)) document = line.trim();
      else if (/^\d+:\d+/.test(line.trim())) findings.push(`${document}:${line.trim().replace(/\s+/g, ' ')}`);
    }
    if (exitCode !== 0 && findings.length === 0)
      findings.push(`remark ended with ${exitCode}: ${errors.trim().slice(0, 500)}`);
    for (const path of documents) {
      if (/^docs\/adr\/\d{4}-.*\.md$/.test(path))
        findings.push(...missingParts(path, await readFile(join(root, path), 'utf8')));
    }
    return { read: documents.length, unit: 'documents', findings };
  },
};

function missingParts(path: string, text: string): string[] {
  return ['Status:', '## Context', '## Decision', '## Consequences']
    .filter((part) => !text.includes(`\n${part}`))
    .map((part) => `${path}: ${basename(path)} has no "${part}"`);
}
