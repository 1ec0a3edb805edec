import { randomBytes } from 'node:crypto';
import type { NodeId, Peer } from '../../shared/protocol/kernel/ids.js';
import { Endpoint } from '../../shared/protocol/stream/endpoint.js';
import { errorText } from '../../shared/protocol/kernel/errors.js';
import { SystemClock } from '../../shared/runtime/clock.js';
import { readKeys, type KeySource } from '../../shared/runtime/key-files.js';
import { NodeKeys } from '../../shared/runtime/node-keys.js';
import { systemRandom } from '../../shared/runtime/node-random.js';
import type { Transport } from '../../shared/runtime/ports.js';
import { openUdpMulticast } from '../../shared/runtime/udp-multicast.js';
import { openUdpUnicast } from '../../shared/runtime/udp-unicast.js';
import type { NodeReading } from './checks.js';

export interface ProbeOptions {
  readonly group: string;
  readonly interface: string;
  readonly keys: KeySource | undefined;
  /** Nodes that are known to run, with the address of their UDP socket. */
  readonly known: readonly { readonly node: string; readonly address: string; readonly isUnicast: boolean }[];
  /** Whether to say and hear anything by multicast. */
  readonly multicast: boolean;
}

const silentLog = { record: (): void => undefined };
/** Each question is asked so often, so that one lost datagram is no finding. */
const rounds = 4;
const roundMs = 150;
/** Nodes that are looked at one by one. */
const maxNodes = 64;

interface Seen {
  answers: boolean;
  hearsGroup: boolean;
  isHeardByGroup: boolean;
  address: string;
  isUnicast: boolean;
}

/** Asks the group, and each node that is known or answers, how they hear this machine; and listens how it hears them. */
export async function probeNodes(options: ProbeOptions): Promise<readonly NodeReading[]> {
  const clock = new SystemClock();
  const transport = await open(options, clock);
  try {
    const self: Peer = {
      node: `doctor-${randomBytes(4).toString('hex')}` as NodeId,
      incarnation: { storeId: randomBytes(16).toString('hex'), start: 1 },
    };
    const seen = new Map<string, Seen>();
    for (const { node, address, isUnicast } of options.known)
      seen.set(node, { answers: false, hearsGroup: false, isHeardByGroup: false, address, isUnicast });
    const { maxDatagramBytes, receiveBufferBytes: windowBytes } = transport;
    const sealing =
      options.keys === undefined
        ? {}
        : { seal: (await keysOf(options.keys)).seal(self, { clock, random: systemRandom() }) };
    const endpoint = new Endpoint({
      self,
      maxDatagramBytes,
      windowBytes,
      ...sealing,
      onPath: ({ from, address, byGroup, message }) => {
        if (!seen.has(from.node) && (seen.size >= maxNodes || message.kind !== 'path-answer')) return;
        const node = seen.get(from.node) ?? {
          answers: false,
          hearsGroup: false,
          isHeardByGroup: false,
          address,
          isUnicast: false,
        };
        seen.set(from.node, node);
        if (byGroup) node.isHeardByGroup = true;
        if (message.kind !== 'path-answer') return;
        node.answers = true;
        node.address = address;
        if (message.byGroup) node.hearsGroup = true;
      },
    });
    const flush = (): void => {
      const nowMs = clock.monotonicMs();
      for (const { to, bytes } of endpoint.takeDatagrams(nowMs)) transport.send(bytes, to);
    };
    transport.onReceive((bytes, from, byGroup) => {
      endpoint.receive(bytes, from, clock.monotonicMs(), byGroup);
    });
    for (let round = 0; round < rounds; round += 1) {
      const nowMs = clock.monotonicMs();
      if (options.multicast) endpoint.probe('group', round, nowMs);
      for (const { address } of seen.values()) endpoint.probe(address, round, nowMs);
      flush();
      await new Promise((resolve) => setTimeout(resolve, roundMs));
    }
    return [...seen].map(([node, found]) => ({ node, ...found }));
  } finally {
    await transport.close();
  }
}

function open({ group, interface: interfaceAddress, multicast }: ProbeOptions, clock: SystemClock): Promise<Transport> {
  return multicast
    ? openUdpMulticast({ group, interfaceAddress, log: silentLog })
    : openUdpUnicast({ interfaceAddress, peers: [], clock, log: silentLog });
}

async function keysOf(source: KeySource): Promise<NodeKeys> {
  const { keys } = await readKeys(source);
  return NodeKeys.load(source, keys.role);
}

const ownProbes = 5;
const ownWaitMs = 100;

/** Whether what is said to the group through this interface is heard through it: without any node. */
export async function probeOwn(options: {
  readonly group: string;
  readonly interface: string;
}): Promise<{ readonly heard: boolean; readonly error: string | null }> {
  const { group, interface: interfaceAddress } = options;
  const open: Transport[] = [];
  try {
    for (let index = 0; index < 2; index += 1)
      open.push(await openUdpMulticast({ group, interfaceAddress, log: silentLog }));
    const [speaker, listener] = open;
    const word = randomBytes(16);
    let heard = false;
    listener?.onReceive((bytes, _from, byGroup) => {
      if (byGroup && word.equals(bytes)) heard = true;
    });
    for (let count = 0; count < ownProbes && !heard; count += 1) {
      speaker?.send(word, 'group');
      await new Promise((resolve) => setTimeout(resolve, ownWaitMs));
    }
    return { heard, error: null };
  } catch (error) {
    return { heard: false, error: errorText(error) };
  } finally {
    for (const transport of open) await transport.close();
  }
}
