import { isIP } from 'node:net';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ClockBody, StatusBody } from '../shared/http/bodies.js';
import { errorText, exitCodes } from '../shared/protocol/kernel/errors.js';
import { transportModes, type TransportMode } from '../shared/protocol/stream/paths.js';
import { parseHostPort } from '../shared/runtime/addresses.js';
import { transportModeOf } from '../shared/runtime/transport-open.js';
import { defaultReceiveBufferBytes } from '../shared/runtime/udp-socket.js';
import { defaultGroup, defaultInterface, keySourceOf } from './binary-flags.js';
import { clientOf, ending } from './common.js';
import { addConfigFlag, applyNodeConfiguration } from './config.js';
import type { Setting } from './config-settings.js';
import {
  checkAsked,
  checkDisk,
  checkDrops,
  checkInterface,
  checkKeys,
  checkNodes,
  checkNodeVersion,
  checkOwnMulticast,
  checkPort,
  checkReceiveBuffer,
  checkSettings,
  hasFailed,
  unreachableNode,
  type AskedNode,
  type Finding,
  type SettingReading,
} from './doctor/checks.js';
import { probeNodes, probeOwn } from './doctor/probe-group.js';
import { readDisk, readDrops, readInterface, readKeysOf, readPort, readReceiveBuffer } from './doctor/read-machine.js';
import { hostPort, multicastGroup, nodeUrl, peerList, portNumber, type HostPort } from './flags.js';
import type { Shell } from './shell.js';

interface DoctorFlags {
  readonly to: readonly URL[];
  readonly group: string;
  readonly interface: string;
  readonly transport?: TransportMode;
  readonly peers?: readonly string[];
  readonly port: number;
  readonly http?: HostPort;
  readonly store: string;
  readonly keys?: string;
  readonly insecure?: true;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly json?: true;
}

/** Whether this machine has it is a finding, and no wrong flag. */
function literalAddress(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError('give an IP address, as 10.0.0.1');
  return text;
}

interface Asked {
  readonly findings: readonly Finding[];
  readonly known: readonly { readonly node: string; readonly address: string; readonly isUnicast: boolean }[];
}

export function addDoctor(program: Command, shell: Shell): void {
  const doctor = program
    .command('doctor')
    .description('look at this machine, its network and running nodes: what is well, what is not, and what mends it');
  addConfigFlag(doctor)
    .addOption(
      new Option('--to <url>', 'HTTP address of a running node to ask; repeat it for more')
        .default([], 'none')
        .argParser((text: string, before: readonly URL[]) => [...before, nodeUrl(text)]),
    )
    .addOption(new Option('--group <address:port>', 'multicast group').default(defaultGroup).argParser(multicastGroup))
    .addOption(
      new Option('--interface <address>', 'address of the interface that a node would use')
        .default(defaultInterface)
        .argParser(literalAddress),
    )
    .addOption(new Option('--transport <transport>', 'as the node would be given').choices(transportModes))
    .addOption(new Option('--peers <host:port,…>', 'as the node would be given').argParser(peerList))
    .addOption(new Option('--port <port>', "UDP port of the node's own socket").default(0).argParser(portNumber))
    .addOption(
      new Option('--http <host:port>', 'where the node would serve HTTP; default: not looked at').argParser(hostPort),
    )
    .option('--store <folder>', 'where the node would keep its data', './data/master')
    .option('--keys <file>', "the group's keys; default: the text in LOCKSTEP_KEYS, if any")
    .option('--insecure', 'as the node would be given')
    .option('--token-file <file>', 'file that holds the token for the nodes asked')
    .option('--ca <file>', "certificates (PEM) that the nodes' TLS certificates are checked with")
    .option('--json', 'print JSON, one line')
    .action(
      ending(shell, async () => {
        const settings = applyNodeConfiguration(program, doctor);
        const flags = doctor.opts<DoctorFlags>();
        const findings = [checkSettings(placesOf(settings, flags)), ...(await examine(flags, shell))];
        shell.out(flags.json === true ? JSON.stringify({ findings }) : findingsText(findings));
        return hasFailed(findings) ? exitCodes.unwell : exitCodes.ok;
      }),
    );
}

/** Of the settings that are looked at here. */
function placesOf(settings: readonly Setting[], flags: DoctorFlags): readonly SettingReading[] {
  return settings
    .filter(({ key }) => Object.hasOwn(flags, key.key))
    .map(({ key, origin }) => ({
      key: key.key,
      from: origin.kind === 'file' ? origin.file : origin.kind === 'environment' ? origin.variable : null,
    }));
}

async function examine(flags: DoctorFlags, shell: Shell): Promise<readonly Finding[]> {
  const { group, interface: address, peers = [], port, http, store } = flags;
  const transport = transportModeOf(flags);
  const keys = keySourceOf(flags);
  const found = readInterface(address);
  const keyed = checkKeys(await readKeysOf({ interface: address, peers, keys, insecure: flags.insecure === true }));
  const asked = await askNodes(flags, shell);
  return [
    checkNodeVersion(process.version),
    ...checkInterface(found, transport),
    ...(found.found === null
      ? []
      : await examineNetwork(flags, { transport, name: found.found.name, family: found.found.family, keyed, asked })),
    checkDrops(readDrops(parseHostPort(group)?.port ?? 0)),
    keyed,
    checkDisk(await readDisk(store)),
    ...(port === 0 || found.found === null ? [] : [checkPort(await readPort('udp', 'udp', address, port))]),
    ...(http === undefined ? [] : [checkPort(await readPort('http', 'tcp', http.host, http.port))]),
    ...asked.findings,
  ];
}

async function examineNetwork(
  flags: DoctorFlags,
  seen: {
    readonly transport: TransportMode;
    readonly name: string;
    readonly family: 4 | 6;
    readonly keyed: Finding;
    readonly asked: Asked;
  },
): Promise<readonly Finding[]> {
  const { group, interface: address } = flags;
  const { transport, asked } = seen;
  const keys = keySourceOf(flags);
  const findings: Finding[] = [checkReceiveBuffer(await readReceiveBuffer(address))];
  const usesMulticast = transport !== 'unicast' && seen.family === 4;
  let isOpen = true;
  if (usesMulticast) {
    const own = checkOwnMulticast({
      group,
      interfaceName: seen.name,
      ...(await probeOwn({ group, interface: address })),
    });
    findings.push(own);
    isOpen = own.level === 'ok';
  }
  // Keys that can't be read are a finding already; without them no node of the group would answer.
  const isMute = keys !== undefined && seen.keyed.level === 'fail';
  if (isMute || (!usesMulticast && asked.known.length === 0)) return findings;
  const nodes = await probeNodes({
    group,
    interface: address,
    keys,
    known: asked.known,
    multicast: usesMulticast && isOpen,
  });
  return [...findings, ...checkNodes({ nodes, group, transport, hasKeys: keys !== undefined })];
}

/** A node of an older release says nothing of it. */
function clockErrorsOf(status: StatusBody): AskedNode['clockErrors'] {
  if (status.role === 'master') return [];
  return status.dataSets
    .filter(({ clock }) => (clock as ClockBody | null | undefined) !== undefined)
    .map(({ dataSet, clock }) => ({ dataSet, errorMs: clock?.errorMs ?? null }));
}

/** Their own accounts, over HTTP. */
async function askNodes(flags: DoctorFlags, shell: Shell): Promise<Asked> {
  const findings: Finding[] = [];
  const known: Asked['known'][number][] = [];
  for (const to of flags.to) {
    const startedMs = performance.now();
    try {
      const status = await clientOf({ ...flags, to }, shell).status();
      const { node, network } = status;
      const tookMs = performance.now() - startedMs;
      if (network === null || network === undefined) {
        findings.push(unreachableNode(to.origin, 'its status says nothing of its network'));
        continue;
      }
      const { address, transport, kernelDrops, receiveBufferBytes, unheard, unreached } = network;
      known.push({ node, address, isUnicast: transport === 'unicast' });
      // Its time was taken about half way.
      const offsetMs = Date.parse(network.at) - (Date.now() - tookMs / 2);
      const account: AskedNode = {
        url: to.origin,
        node,
        offsetMs,
        errorMs: tookMs / 2 + 1,
        kernelDrops,
        receiveBufferBytes,
        unheard,
        unreached,
        clockErrors: clockErrorsOf(status),
      };
      findings.push(...checkAsked(account, defaultReceiveBufferBytes));
    } catch (error) {
      findings.push(unreachableNode(to.origin, errorText(error)));
    }
  }
  return { findings, known };
}

/** One line for each finding, and under it what mends it. */
export function findingsText(findings: readonly Finding[]): string {
  return findings
    .map(
      ({ level, check, text, fix }) => `${level.padEnd(4)}  ${check}: ${text}${fix === null ? '' : `\n      → ${fix}`}`,
    )
    .join('\n');
}
