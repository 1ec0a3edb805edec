import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Check } from './check.js';
import { codeFolders } from './files.js';
import { nonEmptyLines, runTool } from './run-tool.js';

export interface DependencyViolation {
  readonly rule: string;
  readonly from: string;
  readonly to: string;
}

export interface DependencyReport {
  /** The project's own modules that were read, without the packages that they import. */
  readonly modules: number;
  readonly violations: readonly DependencyViolation[];
}

interface CruiseJson {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: {
    readonly violations: readonly {
      readonly rule: { readonly name: string };
      readonly from: string;
      readonly to: string;
    }[];
  };
}

/** Reads who imports whom below `root` and holds it against the rules of this project. */
export async function readDependencies(root: string): Promise<DependencyReport> {
  const rules = join(import.meta.dirname, '../../.dependency-cruiser.cjs');
  const folders = codeFolders.filter((folder) => existsSync(join(root, folder)));
  const { output, errors } = await runTool(root, 'dependency-cruiser/bin/dependency-cruise.mjs', [
    ...['--config', rules, '--output-type', 'json'],
    ...folders,
  ]);
  let report: CruiseJson;
  try {
    report = JSON.parse(output) as CruiseJson;
  } catch (cause) {
    throw new Error(`dependency-cruiser gave no report: ${nonEmptyLines(errors).join(' | ')}`, { cause });
  }
  const isOwn = (path: string): boolean => codeFolders.some((folder) => path.startsWith(`${folder}/`));
  return {
    modules: report.modules.filter((module) => isOwn(module.source)).length,
    violations: report.summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to })),
  };
}

export const dependencies: Check = {
  name: 'dependencies',
  remedy: 'move the code to the layer that may know it; the rules stand in .dependency-cruiser.cjs',
  async run(root) {
    const { modules, violations } = await readDependencies(root);
    return {
      read: modules,
      unit: 'modules',
      findings: violations.map(({ rule, from, to }) => `${from} → ${to} (${rule})`),
    };
  },
};
