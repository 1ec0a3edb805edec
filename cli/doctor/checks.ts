import type { TransportMode } from '../../shared/protocol/stream/paths.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import { isLoopback } from '../../shared/runtime/addresses.js';

/** What one look at the machine or the group came to. */
export interface Finding {
  /** For programs; `docs/networks.md` lists them. */
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly text: string;
  /** The command that mends it, or what to do; null when nothing is to be done. */
  readonly fix: string | null;
}

/*
 * Checks are pure: readings in, findings out. What takes the readings stands in `read-machine.ts` and `probe-group.ts`.
 */

function ok(check: string, text: string): Finding {
  return { check, level: 'ok', text, fix: null };
}

function warn(check: string, text: string, fix: string): Finding {
  return { check, level: 'warn', text, fix };
}

function fail(check: string, text: string, fix: string): Finding {
  return { check, level: 'fail', text, fix };
}

export interface SettingReading {
  readonly key: string;
  /** The file, or the variable; null: a flag, or nothing but the default. */
  readonly from: string | null;
}

/** Where the settings that are looked at came from: a file that wasn't read is no finding of any other check. */
export function checkSettings(settings: readonly SettingReading[]): Finding {
  const places = new Map<string, string[]>();
  for (const { key, from } of settings) if (from !== null) places.set(from, [...(places.get(from) ?? []), key]);
  if (places.size === 0) return ok('settings', 'flags and defaults; no file and no variable gives any');
  const given = [...places].map(([from, keys]) => `${keys.join(', ')} from ${from}`).join('; ');
  return ok('settings', `${given}; the rest are flags and defaults`);
}

export const oldestNode: readonly [number, number] = [20, 15];

export function checkNodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const [needMajor, needMinor] = oldestNode;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return ok('node-version', `Node ${version}`);
  const need = oldestNode.join('.');
  return fail(
    'node-version',
    `Node ${version} is older than ${need}`,
    `install Node ${need} or newer, from nodejs.org`,
  );
}

export interface InterfaceReading {
  readonly address: string;
  /** Null: no interface that is up has this address. */
  readonly found: { readonly name: string; readonly isLoopback: boolean; readonly family: 4 | 6 } | null;
  /** What there is, for the message. */
  readonly known: readonly string[];
  /** As /sys/class/net tells; null where nothing does. */
  readonly carriesMulticast: boolean | null;
  readonly mtuBytes: number | null;
}

export function checkInterface(reading: InterfaceReading, transport: TransportMode): readonly Finding[] {
  const { address, found, known, carriesMulticast, mtuBytes } = reading;
  if (found === null) {
    const text = `no interface that is up has the address ${address}; there is ${known.join(', ')}`;
    return [fail('interface', text, `ip addr; ip link set dev NAME up; or give one of these with --interface`)];
  }
  const { name, family } = found;
  const findings = [ok('interface', `${name} has ${address}, and is up`)];
  if (transport !== 'unicast' && family === 6)
    findings.push(
      warn(
        'multicast-interface',
        `${address} is IPv6, and multicast runs over IPv4 here`,
        'use an IPv4 --interface, or --transport unicast with --peers',
      ),
    );
  else if (transport !== 'unicast' && carriesMulticast === false && !found.isLoopback)
    findings.push(
      fail('multicast-interface', `${name} is set to carry no multicast`, `ip link set dev ${name} multicast on`),
    );
  if (mtuBytes !== null)
    findings.push(
      mtuBytes >= usualMtuBytes
        ? ok('mtu', `${name} carries ${mtuBytes} bytes in a piece`)
        : warn(
            'mtu',
            `${name} carries only ${mtuBytes} bytes in a piece: more datagrams, and more lost ones`,
            `ip link set dev ${name} mtu ${usualMtuBytes}`,
          ),
    );
  return findings;
}

const usualMtuBytes = 1500;

export function checkReceiveBuffer(reading: { readonly askedBytes: number; readonly grantedBytes: number }): Finding {
  const { askedBytes, grantedBytes } = reading;
  if (grantedBytes >= askedBytes) return ok('receive-buffer', `${askedBytes} bytes asked, and granted`);
  const text = `${askedBytes} bytes asked, ${grantedBytes} granted: what comes in bursts is lost`;
  return warn('receive-buffer', text, `sysctl -w net.core.rmem_max=${askedBytes}`);
}

export interface DropsReading {
  /** Since this machine (or its network namespace) started; null where the system doesn't tell. */
  readonly machine: number | null;
  /** At sockets on the group's port. */
  readonly group: number | null;
  readonly askedBytes: number;
}

export function checkDrops({ machine, group, askedBytes }: DropsReading): Finding {
  if (machine === null || group === null) return ok('kernel-drops', 'this system tells nothing about them');
  const fix = `sysctl -w net.core.rmem_max=${askedBytes}; then see whether the number still grows`;
  if (group > 0)
    return fail('kernel-drops', `the kernel dropped ${group} datagrams at full sockets of this group`, fix);
  if (machine > 0)
    return warn(
      'kernel-drops',
      `the kernel dropped ${machine} datagrams at full sockets of this machine, none at this group's open ones`,
      fix,
    );
  return ok('kernel-drops', 'none at this machine');
}

/** Whether a datagram to the group comes back through the interface; null: it was not tried. */
export function checkOwnMulticast(reading: {
  readonly group: string;
  readonly interfaceName: string;
  readonly heard: boolean;
  readonly error: string | null;
}): Finding {
  const { group, interfaceName, heard, error } = reading;
  if (heard) return ok('multicast-here', `what is said to ${group} on ${interfaceName} is heard on this machine`);
  const why = error === null ? 'nothing comes back' : error;
  return fail(
    'multicast-here',
    `${group} on ${interfaceName}: ${why}`,
    `nft list ruleset (look for drops of UDP to ${group.split(':')[0]}); or --transport auto with --peers`,
  );
}

export interface NodeReading {
  readonly node: string;
  readonly address: string;
  /** It answered by unicast. */
  readonly answers: boolean;
  /** It heard what was said to the group from here. */
  readonly hearsGroup: boolean;
  /** What it says to the group was heard here. */
  readonly isHeardByGroup: boolean;
  /** As its status says: it goes by unicast, and says nothing to the group. */
  readonly isUnicast: boolean;
}

/** Multicast both ways, for each node that is known. */
export function checkNodes(reading: {
  readonly nodes: readonly NodeReading[];
  readonly group: string;
  readonly transport: TransportMode;
  readonly hasKeys: boolean;
}): readonly Finding[] {
  const { nodes, group, hasKeys, transport } = reading;
  if (nodes.length === 0) {
    const keyed = hasKeys ? '' : ', or they use keys: give --keys';
    return [
      warn(
        'nodes',
        `no node answers a probe to ${group} (none runs, none hears${keyed})`,
        'lockstep doctor --to HOST:PORT, the HTTP address of a running node',
      ),
    ];
  }
  return nodes.map((node) => checkNode(node, transport, group));
}

function checkNode(node: NodeReading, transport: TransportMode, group: string): Finding {
  const check = `node-${node.node}`;
  const where = `${node.node} (${node.address})`;
  const [host] = group.split(':');
  if (!node.answers)
    return fail(
      check,
      `${where} answers no probe by UDP`,
      `let UDP pass from and to ${node.address}; use the --keys and the --insecure of that node`,
    );
  if (node.isUnicast) return ok(check, `${where} answers by unicast, which is all it uses`);
  if (node.hearsGroup && node.isHeardByGroup)
    return ok(check, `${where} hears this machine by multicast, and is heard`);
  const missing =
    !node.hearsGroup && !node.isHeardByGroup
      ? 'multicast passes neither way'
      : node.hearsGroup
        ? 'its multicast is not heard here'
        : 'it does not hear multicast from here';
  const fix = `on both: ip maddr show; in between: an IGMP querier on the switch, no drop of UDP to ${host}; or leave it to --transport auto with --peers`;
  const text = `${where}: ${missing}, unicast does`;
  return transport === 'multicast'
    ? fail(check, text, fix)
    : warn(check, `${text}; --transport auto goes on by unicast`, fix);
}

export interface AskedNode {
  readonly url: string;
  readonly node: string;
  /** Its clock less ours, ms, and how exactly that is known. */
  readonly offsetMs: number;
  readonly errorMs: number;
  readonly kernelDrops: number | null;
  readonly receiveBufferBytes: number;
  readonly unheard: readonly string[];
  readonly unreached: readonly string[];
  /** Of a slave's data sets: how well it knows group time, ms; null: not at all. Empty for a master. */
  readonly clockErrors: readonly { readonly dataSet: string; readonly errorMs: number | null }[];
}

/** Logs of two machines that differ by more can't be read side by side. */
const wideOffsetMs = 1000;

export function checkAsked(asked: AskedNode, askedBytes: number): readonly Finding[] {
  const { node, offsetMs, errorMs, kernelDrops, receiveBufferBytes, unheard, unreached } = asked;
  const shown = `${Math.round(offsetMs)} ms (± ${Math.ceil(errorMs)})`;
  const isWide = Math.abs(offsetMs) - errorMs > wideOffsetMs;
  const findings = [
    isWide
      ? warn('clock', `the clock of ${node} differs by ${shown}`, 'chronyc makestep; or timedatectl set-ntp true')
      : ok('clock', `the clock of ${node} differs by ${shown}`),
  ];
  if (kernelDrops !== null && kernelDrops > 0)
    findings.push(
      fail(
        `drops-${node}`,
        `the kernel dropped ${kernelDrops} datagrams at ${node}, whose buffers have ${receiveBufferBytes} bytes`,
        `on its machine: sysctl -w net.core.rmem_max=${askedBytes}; then restart it`,
      ),
    );
  if (unheard.length + unreached.length > 0)
    findings.push(
      warn(
        `paths-${node}`,
        `${node} goes by unicast with ${[...new Set([...unheard, ...unreached])].join(', ')}, whom multicast does not reach or who are not heard by it`,
        'lockstep doctor on both machines tells where it is lost',
      ),
    );
  return [...findings, ...checkClockErrors(asked)];
}

/** A change that is scheduled needs every voter's clock known to within `limits.maxClockErrorMs`. */
function checkClockErrors({ node, clockErrors }: AskedNode): readonly Finding[] {
  return clockErrors.map(({ dataSet, errorMs }) => {
    const check = `group-time-${node}`;
    const what = `${node} knows the group time of ${dataSet}`;
    if (errorMs !== null && errorMs <= limits.maxClockErrorMs)
      return ok(check, `${what} to ± ${Math.ceil(errorMs * 100) / 100} ms`);
    const fix = `lockstep doctor on its machine tells what is wrong with its way to the master`;
    return errorMs === null
      ? warn(check, `${node} does not know the group time of ${dataSet}: no master has told it one`, fix)
      : warn(
          check,
          `${what} to ± ${Math.ceil(errorMs)} ms only; above ${limits.maxClockErrorMs} it takes part in no scheduled change`,
          fix,
        );
  });
}

export function unreachableNode(url: string, reason: string): Finding {
  return fail('asked', `${url}: ${reason}`, 'is it running, and is that its --http? give --to HOST:PORT');
}

export interface KeysReading {
  readonly interface: string;
  readonly peers: readonly string[];
  /** Null: none are given. */
  readonly source: string | null;
  /** Why they can't be used; null: they can. */
  readonly error: string | null;
  readonly role: string | null;
  /** The node is told to go without them. */
  readonly insecure: boolean;
}

export function checkKeys({ interface: address, peers, source, error, role, insecure }: KeysReading): Finding {
  if (source === null) {
    const isOpen =
      !isLoopback(address) || peers.some((peer) => !isLoopback(peer.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')));
    if (!isOpen) return ok('keys', 'none, and none are needed on loopback');
    const fix = 'lockstep keygen --out keys; then --keys keys/slave.key (or master.key)';
    if (insecure) return warn('keys', 'none, as --insecure says: whoever reaches this network can pose as a node', fix);
    return fail('keys', 'none, and a node starts without them on loopback only', fix);
  }
  if (error === null) return ok('keys', `${source} holds keys for a ${role ?? 'node'}, readable by its owner only`);
  const mode = /chmod \S+ \S+/.exec(error);
  return fail(
    'keys',
    error,
    mode?.[0] ?? 'lockstep keygen --out keys, once for the group; then copy the file to this machine',
  );
}

export interface DiskReading {
  readonly folder: string;
  /** Where it was measured: the folder, or the nearest one above it that exists. */
  readonly measuredIn: string;
  /** Sorted; empty when it failed. */
  readonly syncMs: readonly number[];
  readonly error: string | null;
  readonly isInMemory: boolean;
}

/** Each change waits for it, at the master and at each slave. */
const slowSyncMs = 10;

export function checkDisk({ folder, measuredIn, syncMs, error, isInMemory }: DiskReading): Finding {
  if (error !== null)
    return fail(
      'disk',
      `${measuredIn} can't be written: ${error}`,
      `chown $(id -u) ${measuredIn}; or give another --store`,
    );
  const median = syncMs[Math.floor(syncMs.length / 2)] ?? 0;
  const slowest = syncMs.at(-1) ?? 0;
  const where = measuredIn === folder ? folder : `${measuredIn} (${folder} isn't there yet)`;
  const text = `a write to ${where} is on disk after ${median.toFixed(1)} ms, ${slowest.toFixed(1)} ms at most`;
  if (isInMemory)
    return warn(
      'disk',
      `${measuredIn} is kept in memory: nothing of it outlives this machine`,
      'give a --store on a disk',
    );
  return median > slowSyncMs
    ? warn('disk', text, 'give a --store on a faster disk, with a write cache that survives a power cut')
    : ok('disk', text);
}

export interface PortReading {
  readonly what: string;
  readonly address: string;
  readonly free: boolean;
  /** Who has it, as far as can be told. */
  readonly holder: { readonly pid: number; readonly command: string } | null;
}

export function checkPort({ what, address, free, holder }: PortReading): Finding {
  const check = `port-${what}`;
  if (free) return ok(check, `${address} is free for ${what}`);
  if (holder === null)
    return fail(
      check,
      `${address} is taken, by whom this user can't see`,
      `ss -lunpt | grep ${address.split(':').at(-1)}, as root`,
    );
  const by = `${address} is taken by ${holder.command} (pid ${holder.pid})`;
  if (/lockstep/.test(holder.command)) return ok(check, `${by}: a node that runs`);
  return fail(check, by, `stop it: kill ${holder.pid}; or choose another port`);
}

export function hasFailed(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level === 'fail');
}
