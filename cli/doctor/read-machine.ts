import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { open, rm, statfs } from 'node:fs/promises';
import { createServer, isIP } from 'node:net';
import { networkInterfaces, platform } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { errorText } from '../../shared/protocol/kernel/errors.js';
import { findInterface } from '../../shared/runtime/interfaces.js';
import { readKernelSockets } from '../../shared/runtime/kernel-drops.js';
import { readKeys, type KeySource } from '../../shared/runtime/key-files.js';
import { bindUdp, defaultReceiveBufferBytes, grantedReceiveBuffer } from '../../shared/runtime/udp-socket.js';
import type { DiskReading, DropsReading, InterfaceReading, KeysReading, PortReading } from './checks.js';

/** The readings that `lockstep doctor` takes on this machine: each says what it found, none judges. */

export function readInterface(address: string): InterfaceReading {
  const known = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).map((own) => `${own.address} (${name})`),
  );
  let found: ReturnType<typeof findInterface>;
  try {
    found = findInterface(address, 'interface');
  } catch {
    return { address, found: null, known, carriesMulticast: null, mtuBytes: null };
  }
  const flags = fileOrNull(join('/sys/class/net', found.name, 'flags'));
  const mtu = fileOrNull(join('/sys/class/net', found.name, 'mtu'));
  return {
    address,
    found,
    known,
    carriesMulticast: flags === null ? null : (Number(flags) & multicastFlag) !== 0,
    mtuBytes: mtu === null ? null : Number(mtu),
  };
}

/** IFF_MULTICAST of Linux. */
const multicastFlag = 0x1000;

export async function readReceiveBuffer(address: string): Promise<{ askedBytes: number; grantedBytes: number }> {
  const askedBytes = defaultReceiveBufferBytes;
  const family = isIP(address) === 6 ? 6 : 4;
  const socket = await bindUdp({
    family,
    host: address,
    port: 0,
    shared: false,
    receiveBufferBytes: askedBytes,
    option: 'interface',
  });
  const grantedBytes = grantedReceiveBuffer([socket]);
  socket.close();
  return { askedBytes, grantedBytes };
}

export function readDrops(groupPort: number): DropsReading {
  const askedBytes = defaultReceiveBufferBytes;
  const sockets = readKernelSockets();
  const group =
    sockets === null
      ? null
      : sockets.filter(({ port }) => port === groupPort).reduce((sum, { drops }) => sum + drops, 0);
  return { machine: receiveErrorsOf(fileOrNull('/proc/net/snmp')), group, askedBytes };
}

/** `RcvbufErrors` of the line `Udp:`; null when it isn't there. */
export function receiveErrorsOf(snmp: string | null): number | null {
  const [names, values] = (snmp ?? '').split('\n').filter((line) => line.startsWith('Udp: '));
  const at = names?.split(' ').indexOf('RcvbufErrors') ?? -1;
  const value = Number(values?.split(' ')[at]);
  return at < 0 || !Number.isSafeInteger(value) ? null : value;
}

export async function readKeysOf(options: {
  readonly interface: string;
  readonly peers: readonly string[];
  readonly keys: KeySource | undefined;
  readonly insecure: boolean;
}): Promise<KeysReading> {
  const { keys, ...network } = options;
  if (keys === undefined) return { ...network, source: null, error: null, role: null };
  const source = 'file' in keys ? keys.file : (keys.name ?? 'the text of the keys');
  try {
    const read = await readKeys(keys);
    return { ...network, source, error: null, role: read.keys.role };
  } catch (error) {
    return { ...network, source, error: errorText(error), role: null };
  }
}

const syncs = 15;
const tmpfs = 0x01021994;

/** Writes where the store is or would be, and takes it away again. */
export async function readDisk(store: string): Promise<DiskReading> {
  const folder = resolve(store);
  let measuredIn = folder;
  while (!existsSync(measuredIn)) measuredIn = dirname(measuredIn);
  const file = join(measuredIn, `.lockstep-doctor-${process.pid}`);
  const syncMs: number[] = [];
  try {
    const { type } = await statfs(measuredIn);
    const handle = await open(file, 'wx', 0o600);
    try {
      const page = Buffer.alloc(4096, 1);
      for (let count = 0; count < syncs; count += 1) {
        const startedMs = performance.now();
        await handle.write(page);
        await handle.datasync();
        syncMs.push(performance.now() - startedMs);
      }
    } finally {
      await handle.close();
      await rm(file, { force: true });
    }
    syncMs.sort((a, b) => a - b);
    return { folder, measuredIn, syncMs, error: null, isInMemory: type === tmpfs };
  } catch (error) {
    return { folder, measuredIn, syncMs: [], error: errorText(error), isInMemory: false };
  }
}

/** Tries to bind it, as the node would. Port 0 is any free one, and always free. */
export async function readPort(what: string, kind: 'udp' | 'tcp', host: string, port: number): Promise<PortReading> {
  const address = `${host}:${port}`;
  const free = port === 0 || (await (kind === 'udp' ? canBindUdp(host, port) : canListen(host, port)));
  return { what, address, free, holder: free ? null : holderOf(kind, port) };
}

async function canBindUdp(host: string, port: number): Promise<boolean> {
  const socket = createSocket({ type: isIP(host) === 6 ? 'udp6' : 'udp4' });
  try {
    const listening = once(socket, 'listening');
    socket.bind({ address: host, port, exclusive: true });
    await listening;
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}

async function canListen(host: string, port: number): Promise<boolean> {
  const server = createServer();
  try {
    const listening = once(server, 'listening');
    server.listen({ host, port, exclusive: true });
    await listening;
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

/** The first process that this user may look into and that has a socket on the port. */
function holderOf(kind: 'udp' | 'tcp', port: number): { readonly pid: number; readonly command: string } | null {
  if (platform() !== 'linux') return null;
  const inodes = new Set(
    [`/proc/net/${kind}`, `/proc/net/${kind}6`].flatMap((file) => inodesOn(fileOrNull(file) ?? '', port)),
  );
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    let names: string[];
    try {
      names = readdirSync(`/proc/${pid}/fd`);
    } catch {
      continue;
    }
    const has = names.some((name) => inodes.has(linkOrEmpty(`/proc/${pid}/fd/${name}`)));
    const command = (fileOrNull(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trim().slice(0, 200);
    if (has) return { pid: Number(pid), command };
  }
  return null;
}

function inodesOn(table: string, port: number): readonly string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return table.split('\n').flatMap((line) => {
    const columns = line.trim().split(/\s+/);
    const isListening = columns[3] === '0A' || columns[3] === '07';
    return columns[1]?.endsWith(`:${hex}`) === true && isListening ? [`socket:[${columns[9] ?? ''}]`] : [];
  });
}

function linkOrEmpty(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function fileOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
