import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCases } from './package/cases.js';
import { pack } from './package/installed.js';

/**
 * `npm run package`: builds and packs what would be published, and tries it as whoever installs it: the files, the types in
 * each way of resolving modules, the three modules on loopback, the command. Ends with the count; exit code 1 when a case
 * failed. Without network; `dist/` is made anew.
 */
const folder = await mkdtemp(join(tmpdir(), 'lockstep-package-'));
try {
  const packed = await pack(folder);
  console.log(`${packed.tarball}: ${packed.files.length} files, ${Math.round(packed.bytes / 1024)} KiB`);
  const { passed, failed } = await runCases(packed);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
