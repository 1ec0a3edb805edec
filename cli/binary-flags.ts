import { Option, type Command } from 'commander';
import type { KeySource } from '../shared/runtime/key-files.js';
import { LockstepError } from '../shared/protocol/kernel/errors.js';
import { transportModes, type TransportMode } from '../shared/protocol/stream/paths.js';
import type { Durability } from '../shared/protocol/kernel/outcome.js';
import { checkNetwork } from '../shared/runtime/open-networks.js';
import type { ServerOptions } from '../shared/http/server.js';
import { readTls } from '../shared/http/tls.js';
import { parseTokens, readTokens, tokensVariable } from '../shared/http/tokens.js';
import {
  dataSetNames,
  hostPort,
  interfaceAddress,
  isLoopback,
  multicastGroup,
  peerList,
  portNumber,
  type HostPort,
} from './flags.js';

export const defaultGroup = '239.255.42.1:7401';
export const defaultInterface = '127.0.0.1';
export const defaultDataSet = 'default';

/** What every program that serves HTTP has in common. */
export interface HttpFlags {
  readonly http?: HostPort;
  readonly insecure?: true;
  readonly httpTokens?: string;
  readonly httpTlsCert?: string;
  readonly httpTlsKey?: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** What `lockstep master` and `lockstep slave` have in common. */
export interface BinaryFlags extends HttpFlags {
  readonly dataSet?: readonly string[];
  readonly store?: string;
  readonly directory?: string;
  readonly group: string;
  readonly interface: string;
  readonly transport?: TransportMode;
  readonly peers?: readonly string[];
  readonly port: number;
  readonly durability: Durability;
  readonly keys?: string;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'text' | 'json';

export function withBinaryFlags(
  command: Command,
  defaults: { readonly store: string; readonly http: string; readonly directory: string },
): Command {
  command
    .addOption(
      new Option('--data-set <name>', `data set to serve; repeat it for more; default: ${defaultDataSet}`)
        .default(undefined, defaultDataSet)
        .argParser(dataSetNames),
    )
    .addOption(
      new Option('--store <folder>', `where data and decisions are kept; default: ${defaults.store}`).default(
        undefined,
        defaults.store,
      ),
    )
    .option('--directory <folder>', defaults.directory);
  withHttpFlags(command, defaults.http)
    .addOption(new Option('--group <address:port>', 'multicast group').default(defaultGroup).argParser(multicastGroup))
    .addOption(
      new Option('--interface <address>', 'address of the interface to send and to join by')
        .default(defaultInterface)
        .argParser(interfaceAddress),
    )
    .addOption(
      new Option('--peers <host:port,…>', 'addresses of other nodes, at a slave that of its master').argParser(
        peerList,
      ),
    )
    .addOption(
      new Option(
        '--transport <transport>',
        'how all are reached; auto: by multicast, and by unicast to whom that does not reach; default: unicast with --peers, else auto',
      ).choices(transportModes),
    )
    .addOption(
      new Option('--port <port>', "UDP port of the node's own socket; 0: any free one")
        .default(0)
        .argParser(portNumber),
    )
    .addOption(
      new Option('--durability <durability>', 'disk: durable before it counts; memory: fast, and lost with the process')
        .choices(['disk', 'memory'])
        .default('disk'),
    )
    .option('--keys <file>', `the group's keys, made by keygen; default: the text in ${keysVariable}, if any`)
    .option('--insecure', 'use addresses other than loopback, although nothing there is encrypted or authenticated');
  return withLogFlags(command);
}

export function withHttpFlags(command: Command, defaultHttp: string): Command {
  return command
    .addOption(
      new Option('--http <host:port>', `where HTTP is served; port 0: any free one; default: ${defaultHttp}`)
        .default(undefined, defaultHttp)
        .argParser(hostPort),
    )
    .option('--http-tokens <file>', `who may use HTTP: lines of "ROLE DIGEST"; default: what ${tokensVariable} holds`)
    .option('--http-tls-cert <file>', 'serve HTTP over TLS with this certificate (PEM, with its chain)')
    .option('--http-tls-key <file>', 'key of the certificate (PEM); readable by its owner only');
}

export function withLogFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--log-level <level>', 'least important event to log, on stderr')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .addOption(new Option('--log-format <format>', 'of the log').choices(['text', 'json']).default('text'));
}

/** The data sets to serve. A directory is one of them, and the only one. */
export function dataSetsOf(flags: BinaryFlags): readonly string[] {
  const dataSets = flags.dataSet ?? [defaultDataSet];
  if (flags.directory !== undefined && dataSets.length > 1)
    throw new LockstepError(
      'bad-option',
      `--directory ${flags.directory} is one data set, and --data-set names ${dataSets.join(', ')}; give one, and start a node for each of the others`,
    );
  return dataSets;
}

/** A version of a folder is written by every voter, and may be checked by a program of its own, before it is decided. */
export const directoryTimeoutMs = 30_000;

/** The same text as in a key file. */
export const keysVariable = 'LOCKSTEP_KEYS';

export function keySourceOf(
  flags: Pick<BinaryFlags, 'keys'>,
  environment: NodeJS.ProcessEnv = process.env,
): KeySource | undefined {
  if (flags.keys !== undefined) return { file: flags.keys };
  const text = environment[keysVariable];
  return text === undefined || text === '' ? undefined : { text, name: keysVariable };
}

function hasTokens(flags: HttpFlags): boolean {
  return flags.httpTokens !== undefined || (process.env[tokensVariable] ?? '') !== '';
}

/** Reads what HTTP is to be guarded with. Throws `bad-option` for a file that is missing, wrong, or open to others. */
export function guardsOf(flags: HttpFlags): ServerOptions {
  const { httpTokens, httpTlsCert, httpTlsKey } = flags;
  const inEnvironment = process.env[tokensVariable] ?? '';
  if ((httpTlsCert === undefined) !== (httpTlsKey === undefined))
    throw new LockstepError('bad-option', '--http-tls-cert and --http-tls-key belong together; give both');
  return {
    ...(httpTokens !== undefined
      ? { tokens: readTokens(httpTokens) }
      : inEnvironment === ''
        ? {}
        : { tokens: parseTokens(inEnvironment, tokensVariable) }),
    ...(httpTlsCert === undefined || httpTlsKey === undefined ? {} : { tls: readTls(httpTlsCert, httpTlsKey) }),
  };
}

/** Refuses to open anything to other machines unguarded: packets without keys, and HTTP without tokens. */
export function refuseOpenDoors(flags: BinaryFlags, http: HostPort): void {
  refuseOpenHttp(flags, http);
  if (flags.insecure === true) return;
  checkNetwork({
    interface: flags.interface,
    peers: flags.peers ?? [],
    hasKeys: keySourceOf(flags) !== undefined,
    insecure: false,
    log: { record: () => undefined },
  });
}

/** Refuses to serve HTTP to other machines without tokens. */
export function refuseOpenHttp(flags: HttpFlags, http: HostPort): void {
  if (flags.insecure === true) return;
  if (!isLoopback(http.host) && !hasTokens(flags)) {
    throw new LockstepError(
      'bad-option',
      `--http ${http.host}:${http.port} leaves this machine, and would serve everybody; give --http-tokens, use a loopback address, or say --insecure in a network that you trust`,
    );
  }
}
