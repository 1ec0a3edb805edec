import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { eventually } from '../integration/process/lockstep-process.js';

const isContinuousIntegration = (process.env['CI'] ?? '') !== '';

/** Where Debian's packages put the server. */
function serverFolder(): string | null {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(root, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb'))) ?? null;
}

const bin = serverFolder();

/** For `test.skipIf`: there is no server here, and this isn't CI, where that is a failure. Says so, loudly. */
export function skipsPostgresql(what: string): boolean {
  if (bin !== null || isContinuousIntegration) return false;
  console.warn(`\n!!! SKIPPED: ${what} is not tested, since there is no server; apt-get install postgresql !!!\n`);
  return true;
}

/** A PostgreSQL server for one test file, on a socket in a folder of its own: no port is taken, and nobody else reaches it. */
export class PostgresqlServer {
  readonly #folder: string;
  readonly #serve: readonly string[];
  #process: ChildProcess | null = null;

  private constructor(folder: string, serve: readonly string[]) {
    this.#folder = folder;
    this.#serve = serve;
  }

  static async start(): Promise<PostgresqlServer> {
    if (bin === null) throw new Error('there is no PostgreSQL server here; apt-get install postgresql');
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-pg-'));
    // A server refuses to run as root: then it runs as the user that its package has made.
    const asUser =
      process.getuid?.() === 0 ? ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups'] : [];
    if (asUser.length > 0) chownSync(folder, idOf('-u'), idOf('-g'));
    const data = join(folder, 'data');
    const make = [...asUser, join(bin, 'initdb'), '-D', data, '-U', 'lockstep', '-A', 'trust', '-E', 'UTF8'];
    execFileSync(make[0] ?? '', make.slice(1), { cwd: folder, stdio: 'pipe' });
    const serve = [...asUser, join(bin, 'postgres'), '-D', data, '-k', folder, '-c', 'listen_addresses='];
    const server = new PostgresqlServer(folder, serve);
    await server.resume();
    return server;
  }

  /** Serves, at first or again after `pause`. */
  async resume(): Promise<void> {
    const [program = '', ...parameters] = this.#serve;
    const server = spawn(program, parameters, { cwd: this.#folder, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = server;
    let said = '';
    server.stderr.on('data', (text: Buffer) => (said += text.toString()));
    await eventually(
      'the server',
      () => (said.includes('ready to accept connections') ? true : undefined),
      60_000,
      () => said,
    );
  }

  /** Stops serving: connections are cut, and new ones refused. What is on its disk stays. */
  async pause(): Promise<void> {
    const server = this.#process;
    if (server === null || server.exitCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGINT'); // its fast shutdown
    await ended;
  }

  connection(database: string): { host: string; user: string; database: string } {
    return { host: this.#folder, user: 'lockstep', database };
  }

  url(database: string): string {
    return `postgresql:///${database}?host=${encodeURIComponent(this.#folder)}&user=lockstep`;
  }

  async createDatabase(name: string): Promise<string> {
    await this.query('postgres', `CREATE DATABASE ${name}`);
    return this.url(name);
  }

  /** One statement, in a connection of its own. */
  async query<Row extends object>(database: string, text: string, values: unknown[] = []): Promise<readonly Row[]> {
    const client = new Client(this.connection(database));
    await client.connect();
    try {
      return (await client.query<Row>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  async stop(): Promise<void> {
    await this.pause();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function idOf(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'postgres']).toString());
}
