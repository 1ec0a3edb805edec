import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { sendProblem } from '../../shared/http/problem.js';

/** The files of the dashboard, as they stand in `master/dashboard/page`. */
const pageFiles: readonly string[] = [
  ...['index.html', 'icon.svg', 'theme.js', 'base.css', 'layout.css', 'group.css', 'rounds.css', 'scheduled.css'],
  ...['main.js', 'connection.js', 'events.js', 'model.js', 'words.js', 'headline.js', 'places.js', 'series.js'],
  ...['dom.js', 'view-head.js', 'view-group.js', 'view-node.js', 'view-rounds.js', 'view-plots.js', 'view-token.js'],
  ...['scheduled.js', 'view-scheduled.js'],
];
/** The plots are drawn by a package, which is served from where it is installed. */
const packageFiles: Readonly<Record<string, string>> = {
  'uplot.js': 'uplot/dist/uPlot.iife.min.js',
  'uplot.css': 'uplot/dist/uPlot.min.css',
};

const mediaTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Nothing from elsewhere, nothing written into the page, and no other page may hold this one in a frame. */
export const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  // Asked again each time, and answered with 304: an upgrade shows at once.
  'cache-control': 'no-cache',
} as const;

interface Asset {
  readonly plain: Buffer;
  readonly packed: Buffer;
  readonly tag: string;
  readonly mediaType: string;
}

/** `GET /` and what belongs to it. Files are read when they are first asked for, and kept. */
export function addDashboard(server: FastifyInstance): void {
  const assets = new Map<string, Promise<Asset>>();
  const serve = async (name: string, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const path = pathOf(name);
    if (path === null) {
      const message = `the dashboard has no file ${name.slice(0, 100)}; it begins at /`;
      return sendProblem(reply, { status: 404, code: 'route-unknown', message });
    }
    let asset = assets.get(name);
    if (asset === undefined) {
      asset = readAsset(path);
      assets.set(name, asset);
    }
    return sendAsset(await asset, request, reply);
  };
  server.get('/', async (request, reply) => serve('index.html', request, reply));
  server.get<{ Params: { file: string } }>('/dashboard/:file', async (request, reply) =>
    serve(request.params.file, request, reply),
  );
}

function sendAsset(asset: Asset, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.headers({ ...pageHeaders, etag: asset.tag, vary: 'accept-encoding' });
  if (request.headers['if-none-match'] === asset.tag) return reply.code(304).send();
  reply.type(asset.mediaType);
  if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return reply.send(asset.plain);
  return reply.header('content-encoding', 'gzip').send(asset.packed);
}

/** Only what is listed is served: a name is never made into a path. */
function pathOf(name: string): string | null {
  if (pageFiles.includes(name)) return join(pageFolder(), name);
  const inPackage = Object.hasOwn(packageFiles, name) ? packageFiles[name] : undefined;
  return inPackage === undefined ? null : createRequire(import.meta.url).resolve(inPackage);
}

async function readAsset(path: string): Promise<Asset> {
  const plain = await readFile(path);
  return {
    plain,
    packed: await promisify(gzip)(plain),
    tag: `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`,
    mediaType: mediaTypes[extname(path)] ?? 'application/octet-stream',
  };
}

/** The page is no TypeScript and isn't compiled: it stands at the same place of the package whether this file is or not. */
function pageFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
  return join(folder, 'master', 'dashboard', 'page');
}
