import type { EndpointCounters } from '../protocol/stream/counters.js';
import { defaultReceiveBufferBytes } from '../runtime/udp-socket.js';
import { each, type Family } from './family.js';

/** What a node tells of itself, whichever side it is on. */
export interface NodeStatus {
  readonly role: 'master' | 'slave';
  readonly name: string;
  /** `EndpointCounters`; other endpoints, such as those of tests, may count less. */
  readonly counters: object;
  readonly unroutedMessages: number;
  readonly receiveBufferBytes: number;
}

const countersOf = ({ counters }: NodeStatus): Partial<EndpointCounters> => counters;

/** Messages and datagrams that went no further, by reason. */
function dropsOf(status: NodeStatus): [string, number][] {
  const counters = countersOf(status);
  return [
    ...Object.entries(counters.rejected ?? {}),
    ['undeliverable', counters.undeliverable ?? 0],
    ['oversized', counters.oversized ?? 0],
    ['queue-full', counters.queueFull ?? 0],
    ['withheld', counters.withheld ?? 0],
    ['reassembly-given-up', counters.reassembliesGivenUp ?? 0],
    ['reassembly-evicted', counters.reassembliesEvicted ?? 0],
    ['unrouted', status.unroutedMessages],
  ];
}

export function nodeFamilies(version: string): readonly Family<NodeStatus>[] {
  return [
    {
      name: 'lockstep_build_info',
      type: 'gauge',
      help: 'Always 1; its labels say what runs.',
      labels: ['version', 'node_version', 'role', 'node'],
      samples: ({ role, name }) => [[[version, process.version, role, name], 1]],
    },
    {
      name: 'lockstep_datagrams_total',
      type: 'counter',
      help: 'Datagrams, by direction.',
      labels: ['direction'],
      samples: (status) => [
        [['sent'], countersOf(status).datagramsSent ?? 0],
        [['received'], countersOf(status).datagramsReceived ?? 0],
      ],
    },
    {
      name: 'lockstep_datagram_bytes_total',
      type: 'counter',
      help: 'Bytes of datagrams, by direction.',
      labels: ['direction'],
      samples: (status) => [
        [['sent'], countersOf(status).bytesSent ?? 0],
        [['received'], countersOf(status).bytesReceived ?? 0],
      ],
    },
    {
      name: 'lockstep_messages_total',
      type: 'counter',
      help: 'Messages of the protocol, by direction; a datagram carries several.',
      labels: ['direction'],
      samples: (status) => [
        [['sent'], countersOf(status).messagesSent ?? 0],
        [['received'], countersOf(status).messagesReceived ?? 0],
      ],
    },
    {
      name: 'lockstep_fragment_repairs_total',
      type: 'counter',
      help: 'Requests for lost fragments of large messages: asked for here, and served to others.',
      labels: ['direction'],
      samples: (status) => [
        [['requested'], countersOf(status).repairsRequested ?? 0],
        [['resent'], countersOf(status).fragmentsResent ?? 0],
      ],
    },
    {
      name: 'lockstep_dropped_total',
      type: 'counter',
      help: 'Messages and datagrams that this node dropped, by reason.',
      labels: ['reason'],
      samples: (status) => each(dropsOf(status), ([reason, count]) => [[reason], count]),
    },
    {
      name: 'lockstep_receive_buffer_bytes',
      type: 'gauge',
      help: 'Receive buffer of the sockets in bytes: asked of the system, and granted by it.',
      labels: ['buffer'],
      samples: ({ receiveBufferBytes }) => [
        [['asked'], defaultReceiveBufferBytes],
        [['granted'], receiveBufferBytes],
      ],
    },
  ];
}
