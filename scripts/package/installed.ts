import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export const root = join(import.meta.dirname, '../..');

export interface Ran {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

const limitMs = 240_000;

/** Runs to its end, whatever that is. */
export function run(
  command: string,
  parameters: readonly string[],
  options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): Promise<Ran> {
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', ...options.env };
    execFile(
      command,
      parameters,
      { cwd: options.cwd, env, timeout: limitMs, maxBuffer: 64 * 1024 * 1024 },
      (error, out, err) => {
        const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ exitCode, out, err });
      },
    );
  });
}

export interface PackedFile {
  readonly path: string;
  readonly size: number;
  readonly mode: number;
}

export interface Manifest {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly type: string;
}

export interface Packed {
  readonly tarball: string;
  readonly bytes: number;
  readonly files: readonly PackedFile[];
  readonly manifest: Manifest;
  /** A host's folder with the package installed, and nothing else that it doesn't ask for. */
  readonly host: string;
  /** Where the package stands in it. */
  readonly installed: string;
}

/** Packs this repository, and installs it into an empty host. */
export async function pack(folder: string): Promise<Packed> {
  const packed = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root });
  const list = packed.out.slice(packed.out.indexOf('[\n'));
  if (packed.exitCode !== 0) throw new Error(`npm pack ended with ${packed.exitCode}: ${packed.err}`);
  const [made] = JSON.parse(list) as { filename: string; size: number; files: PackedFile[] }[];
  if (made === undefined) throw new Error(`npm pack told nothing: ${packed.out}`);
  const tarball = join(folder, made.filename);
  const host = join(folder, 'host');
  const installed = join(host, 'node_modules/lockstep');
  await mkdir(installed, { recursive: true });
  const untar = await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'], { cwd: folder });
  if (untar.exitCode !== 0) throw new Error(`tar ended with ${untar.exitCode}: ${untar.err}`);
  const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as Manifest;
  // What it declares, from this repository's own node_modules, since there may be no network. What it doesn't declare isn't
  // there, and an import of it fails.
  for (const name of [...Object.keys(manifest.dependencies), '@types/node']) await link(host, name);
  await writeFile(join(host, 'package.json'), '{ "name": "host", "private": true, "type": "module" }\n');
  return { tarball, bytes: made.size, files: made.files, manifest, host, installed };
}

async function link(host: string, name: string): Promise<void> {
  const place = join(host, 'node_modules', name);
  await mkdir(dirname(place), { recursive: true });
  await symlink(join(root, 'node_modules', name), place);
}
