import type { StatusBody } from '../../shared/http/bodies.js';
import { errorText } from '../../shared/protocol/kernel/errors.js';
import type { TransportMode } from '../../shared/protocol/stream/paths.js';
import { parseHostPort } from '../../shared/runtime/addresses.js';
import { transportModeOf } from '../../shared/runtime/transport-open.js';
import { defaultReceiveBufferBytes } from '../../shared/runtime/udp-socket.js';
import { keySourceOf } from '../binary-flags.js';
import { clientOf } from '../common.js';
import type { Setting } from '../config-settings.js';
import type { Shell } from '../shell.js';
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
  unreachableNode,
  type AskedNode,
  type Finding,
  type SettingReading,
} from './checks.js';
import type { DoctorFlags } from './flags.js';
import { probeNodes, probeOwn } from './probe-group.js';
import { readDisk, readDrops, readInterface, readKeysOf, readPort, readReceiveBuffer } from './read-machine.js';

interface Asked {
  readonly findings: readonly Finding[];
  readonly known: readonly { readonly node: string; readonly address: string; readonly isUnicast: boolean }[];
}

/** What `lockstep doctor` does: loaded for it alone, since it brings the transport with it. */
export async function examine(
  flags: DoctorFlags,
  settings: readonly Setting[],
  shell: Shell,
): Promise<readonly Finding[]> {
  return [checkSettings(placesOf(settings, flags)), ...(await examineMachine(flags, shell))];
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

async function examineMachine(flags: DoctorFlags, shell: Shell): Promise<readonly Finding[]> {
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

function clockErrorsOf(status: StatusBody): AskedNode['clockErrors'] {
  if (status.role === 'master') return [];
  return status.dataSets.map(({ dataSet, clock }) => ({ dataSet, errorMs: clock?.errorMs ?? null }));
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
      if (network === null) {
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
