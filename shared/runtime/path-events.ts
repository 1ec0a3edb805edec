import type { PathEvent } from '../protocol/stream/paths.js';
import type { EventOf } from '../protocol/kernel/events.js';
import type { NodeEvents } from './events.js';

const seeNetworks = "'lockstep doctor' tells where it is lost, docs/networks.md what may be done";

/** What has become of multicast, as the log says it: what happened, why that is known, and what mends it. */
export function pathRecord(event: PathEvent): EventOf<NodeEvents, PathEvent['name']> {
  switch (event.name) {
    case 'multicast-unheard':
      return {
        name: event.name,
        level: 'warn',
        fields: {
          node: event.node,
          silentMs: event.silentMs === null ? null : Math.round(event.silentMs),
          reason: `${event.node} answers by unicast, and nothing of what it says to the group arrives; it is asked to send by unicast`,
          remedy: `let multicast pass (switch: IGMP querier; firewall: UDP to the group); ${seeNetworks}`,
        },
      };
    case 'multicast-unreached':
      return {
        name: event.name,
        level: 'warn',
        fields: {
          node: event.node,
          address: event.address,
          reason: `multicast from here doesn't reach ${event.node}; each packet for all goes to it by unicast as well`,
          remedy: `let multicast pass (switch: IGMP querier; firewall: UDP to the group); ${seeNetworks}`,
        },
      };
    case 'multicast-heard':
      return { name: event.name, level: 'info', fields: { node: event.node, reason: 'multicast arrives again' } };
    case 'multicast-reached':
      return {
        name: event.name,
        level: 'info',
        fields: { node: event.node, address: event.address, reason: 'multicast arrives again; no more by unicast' },
      };
  }
}
