import { join } from 'node:path';
import type { Check, CheckResult } from './checks/check.js';
import { dependencies } from './checks/dependencies.js';
import { docs } from './checks/docs.js';
import { events } from './checks/events.js';
import { fileSize } from './checks/file-size.js';
import { format } from './checks/format.js';
import { guarantees } from './checks/guarantees.js';
import { lint } from './checks/lint.js';
import { lockFile } from './checks/lock-file.js';
import { pureCode } from './checks/pure-code.js';
import { types } from './checks/types.js';

/** `npm run check [-- NAME…]`: reads, changes nothing. One line per check; exit code 1 when one fails. */
const all: readonly Check[] = [
  types,
  lint,
  format,
  dependencies,
  pureCode,
  fileSize,
  docs,
  events,
  guarantees,
  lockFile,
];

/** The tree is larger than this; a check that reads less has lost its way. */
const leastRead: Readonly<Record<string, number>> = {
  ...{ types: 100, lint: 100, format: 100, dependencies: 100, 'pure-code': 25, 'file-size': 100 },
  ...{ docs: 10, events: 50, guarantees: 40, 'lock-file': 100 },
};
const shownFindings = 60;

const root = join(import.meta.dirname, '..');
const names = process.argv.slice(2);
const unknown = names.filter((name) => !all.some((check) => check.name === name));
if (unknown.length > 0) {
  console.error(`no check is called ${unknown.join(', ')}; there are ${all.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

let failed = 0;
const chosen = all.filter(({ name }) => names.length === 0 || names.includes(name));
for (const check of chosen) {
  const result = await outcome(check);
  if (result.findings.length > 0) failed += 1;
  print(check, result);
}
console.log(`${chosen.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

async function outcome(check: Check): Promise<CheckResult> {
  try {
    const result = await check.run(root);
    const least = leastRead[check.name] ?? 1;
    if (result.read >= least) return result;
    return { ...result, findings: [...result.findings, `read only ${result.read} ${result.unit}, expected ${least}`] };
  } catch (error) {
    return { read: 0, unit: 'things', findings: [`the check itself failed: ${String(error)}`] };
  }
}

function print(check: Check, { read, unit, findings, warnings = [] }: CheckResult): void {
  const verdict = findings.length === 0 ? 'ok  ' : 'FAIL';
  const counts = findings.length === 0 ? `${read} ${unit}` : `${findings.length} of ${read} ${unit} → ${check.remedy}`;
  console.log(`${verdict}  ${check.name.padEnd(13)} ${counts}`);
  for (const finding of findings.slice(0, shownFindings)) console.log(`      ${finding}`);
  if (findings.length > shownFindings) console.log(`      … and ${findings.length - shownFindings} more`);
  for (const warning of warnings) console.log(`      warning: ${warning}`);
}
