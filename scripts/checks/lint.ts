import { ESLint } from 'eslint';
import type { Check } from './check.js';

/** Style rules that need to know the types: floating promises, `any`, non-null assertions, unfinished switches. */
export const lint: Check = {
  name: 'lint',
  remedy: '`npm run fix` mends what can be mended by itself; the rest by hand',
  async run(root) {
    const results = await new ESLint({ cwd: root }).lintFiles(['.']);
    const findings = results.flatMap((result) =>
      result.messages.map((message) => {
        const path = result.filePath.slice(root.length + 1);
        return `${path}:${message.line}:${message.column} ${message.message} (${message.ruleId ?? 'parser'})`;
      }),
    );
    return { read: results.length, unit: 'files', findings };
  },
};
