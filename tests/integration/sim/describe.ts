import { roundKey, showTip } from '../../../shared/protocol/kernel/ids.js';
import type { Message } from '../../../shared/protocol/wire/messages.js';
import type { OutgoingPacket } from '../../../shared/runtime/node.js';
import type { Observation } from './observation.js';

/** A message in a few words, for traces. */
export function describeMessage(message: Message): string {
  switch (message.kind) {
    case 'heartbeat': {
      const open = message.openRounds.map(({ number }) => number).join(',');
      const decisions = message.recentDecisions.map(({ round, outcome }) => `${round.number}:${outcome}`).join(',');
      return `heartbeat ${message.sequence} ${showTip(message.tip)} open [${open}] decided [${decisions}]`;
    }
    case 'status':
      return `status ${message.sequence} ${showTip(message.tip)} ${message.state} prepared ${message.prepared.length}`;
    case 'prepare':
      return `prepare ${message.round} ${showTip(message.from)} > ${showTip(message.to)} as ${message.content.kind}`;
    case 'announce':
      return `announce ${showTip(message.from)} > ${showTip(message.to)} as ${message.content.kind}`;
    case 'vote':
      return `vote ${roundKey(message.round)} ${showTip(message.to)} ${message.upToDate && message.canProcess ? 'yes' : `no: ${message.reason}`}`;
    case 'commit':
    case 'abort':
    case 'inquiry':
      return `${message.kind} ${roundKey(message.round)} ${showTip(message.to)}`;
    case 'resolution':
      return `resolution ${roundKey(message.round)} ${showTip(message.to)} ${message.outcome}`;
    case 'delta-request':
      return `delta-request ${message.request} ${showTip(message.from)} > ${message.to === null ? 'newest' : showTip(message.to)}`;
    case 'deltas':
      return `deltas ${message.request} ${message.steps.map((step) => showTip(step.to)).join(', ')}`;
    case 'bulk-offer':
      return `bulk-offer ${message.request} ${message.mode} ${showTip(message.from)} > ${showTip(message.to)}`;
    case 'too-old':
      return `too-old ${message.request} ${showTip(message.from)} ${message.onChain ? 'on the chain' : 'off the chain'}`;
    case 'report':
      return `report ${message.role} promised e${message.promised.number} ${showTip(message.tip)} prepared ${message.prepared.length}`;
    case 'claim':
    case 'join':
      return `${message.kind} ${showTip(message.tip)}`;
    case 'promise':
      return `promise ${message.granted ? 'granted' : 'refused'} e${message.promised.number} ${showTip(message.tip)}`;
    case 'welcome':
      return `welcome to slot ${message.slot}`;
    case 'refusal':
      return `refusal ${message.reason}`;
    default:
      return message.kind;
  }
}

function describePacket({ to, epoch, message }: OutgoingPacket): string {
  return `e${epoch.number} to ${to === 'all' ? 'all' : to.node}: ${describeMessage(message)}`;
}

/** One line of the trace; null for what would only fill it. */
export function describeObservation(observation: Observation): string | null {
  switch (observation.kind) {
    case 'started':
    case 'crashed':
      return `${observation.role} ${observation.kind}, process ${observation.process}`;
    case 'sent':
      return `> ${describePacket(observation.packet)}`;
    case 'receiving': {
      if (observation.envelopes.length === 0) return observation.corrupt ? '< corrupt, rejected' : null;
      return `< ${observation.envelopes.map(({ from, message }) => `${from.node}: ${describeMessage(message)}`).join(' | ')}`;
    }
    case 'durable':
      return `durable: ${observation.operations.map(({ kind, key }) => `${kind} ${key.slice(2).join('.')}`).join(', ')}`;
    case 'diskFailed':
      return 'fsync failed';
    case 'called':
      return `callback ${observation.call} ${showTip(observation.from)} > ${showTip(observation.to)}`;
    case 'voted':
      return `prepared ${showTip(observation.to)}: ${observation.yes ? 'yes' : 'no'}`;
    case 'exposed':
      return `exposes ${showTip(observation.tip)} by ${observation.how}, content ${observation.digest ?? 'unknown'}`;
    case 'decided':
      return `decided ${showTip(observation.change.to)}`;
    case 'settled':
      return `settled ${observation.version}: ${observation.outcome.kind}${'reason' in observation.outcome ? `, ${observation.outcome.reason}` : ''}`;
    case 'healed':
    case 'converged':
      return observation.kind;
    default:
      return null;
  }
}
