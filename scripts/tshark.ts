import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runCases, type Tshark } from './tshark/cases.js';

/**
 * `npm run tshark`: the Wireshark dissector, in the real tshark, on captures made of the golden vectors. It needs tshark 4 or
 * later (Debian's package `tshark`), and fails without it. Ends with the count; exit code 1 when a case failed.
 */
const run = promisify(execFile);
const dissector = join(import.meta.dirname, '../deploy/wireshark/lockstep.lua');
const maxOutputBytes = 512 * 1024 * 1024;

async function versionOfTshark(): Promise<string | null> {
  try {
    const { stdout } = await run('tshark', ['--version']);
    return /^TShark \(Wireshark\) (\S+?)\.? /m.exec(stdout)?.[1] ?? 'of an unknown version';
  } catch {
    return null;
  }
}

function tsharkIn(folder: string): Tshark {
  let count = 0;
  return async (capture, parameters) => {
    count += 1;
    const file = join(folder, `${count}.pcap`);
    await writeFile(file, capture);
    // A home of its own: nobody's preferences and plugins take part.
    const { stdout, stderr } = await run('tshark', ['-n', '-X', `lua_script:${dissector}`, '-r', file, ...parameters], {
      maxBuffer: maxOutputBytes,
      env: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, LC_ALL: 'C.UTF-8' },
    });
    return { out: stdout, err: stderr };
  };
}

const version = await versionOfTshark();
if (version === null) {
  console.error("tshark isn't installed, so the dissector can't be tried: apt-get install tshark");
  console.log('0 passed, 1 failed');
  process.exit(1);
}
console.log(`tshark ${version}`);
const folder = await mkdtemp(join(tmpdir(), 'lockstep-tshark-'));
try {
  const { passed, failed } = await runCases(tsharkIn(folder));
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
