import { roundKey, showTip, versionOf, type Epoch, type Tip } from '../../shared/protocol/kernel/ids.js';
import { showInstant } from '../../shared/protocol/kernel/instants.js';
import { unreachable } from '../../shared/protocol/kernel/invariant.js';
import type { Content, Message, PreparedRef, Prepare } from '../../shared/protocol/wire/messages.js';

/** A message in a few words, for one line of a terminal. Rounds have the names that `lockstep resolve` takes. */
export function messageText(message: Message, epoch: Epoch): string {
  switch (message.kind) {
    case 'survey':
    case 'leave':
      return message.kind;
    case 'report':
      return `report of a ${message.role} at ${showTip(message.tip)}, promised to e${message.promised.number}, hears ${message.hears?.node ?? 'no master'}${prepared(message.prepared)}`;
    case 'claim':
      return `claim at ${showTip(message.tip)}`;
    case 'promise':
      return `promise ${message.granted ? 'granted' : 'refused'}, bound to e${message.promised.number}, at ${showTip(message.tip)}${prepared(message.prepared)}`;
    case 'join':
      return `join at ${showTip(message.tip)}, promised to e${message.promised.number}${prepared(message.prepared)}`;
    case 'welcome':
      return `welcome to slot ${message.slot}, lease ${message.leaseMs} ms`;
    case 'refusal':
      return `refusal (${message.reason}): ${message.text}`;
    case 'status':
      return `status ${message.sequence % 2 ** 32} ${message.state} at ${showTip(message.tip)}${prepared(message.prepared)}`;
    case 'heartbeat': {
      const open = message.openRounds.map(({ number, to }) => `${number} (v${to.version})`);
      return `heartbeat ${message.sequence} at ${showTip(message.tip)}${open.length === 0 ? '' : `, open rounds ${open.join(' ')}`}, next in ${Math.round(message.nextInMs)} ms`;
    }
    case 'clock-request':
      return `clock-request at ${millis(message.sentMs)}`;
    case 'clock':
      return `clock ${millis(message.sentMs)}, era ${message.era}, for the request at ${millis(message.requestSentMs)}`;
    case 'announce':
      return `announce ${stepText(message.from, message.to)} ${contentText(message.content)}`;
    case 'prepare':
      return prepareText(message, epoch);
    case 'vote':
      return `vote ${message.upToDate && message.canProcess ? 'yes' : 'no'} on round ${roundKey(message.round)} v${message.to.version}${message.reason === '' ? '' : `: ${message.reason}`}`;
    case 'commit':
    case 'abort':
      return `${message.kind} round ${roundKey(message.round)} v${message.to.version}`;
    case 'arming':
      return `${message.armed ? 'arming' : 'disarming'} round ${roundKey(message.round)} v${message.to.version} for ${showInstant(message.activateAtMs)}`;
    case 'inquiry':
      return `inquiry round ${roundKey(message.round)} ${stepText(message.from, message.to)}`;
    case 'resolution':
      return `resolution round ${roundKey(message.round)} v${message.to.version}: ${message.outcome}`;
    case 'delta-request':
      return `delta-request ${message.request} ${versionText(message.from)} → ${message.to === null ? 'newest' : `v${message.to.version}`}${message.round === null ? '' : ` of round ${roundKey(message.round)}`}`;
    case 'deltas': {
      const [first] = message.steps;
      const last = message.steps.at(-1);
      const range = first === undefined || last === undefined ? 'nothing' : stepText(first.from, last.to);
      return `deltas for ${message.request}: ${range} in ${message.steps.length}`;
    }
    case 'too-old':
      return `too-old for ${message.request}: ${versionText(message.from)} ${message.onChain ? 'is older than the history' : "isn't on the chain"}`;
    case 'bulk-offer':
      return `bulk-offer for ${message.request}: ${message.mode} ${stepText(message.from, message.to)} at TCP port ${message.port}`;
    case 'snapshot-request':
      return `snapshot-request ${message.request}`;
    default:
      return unreachable(message);
  }
}

/** A reading of a clock, in milliseconds: to the microsecond, which is as fine as any is read. */
function millis(ms: number): string {
  return `${Math.round(ms * 1000) / 1000} ms`;
}

function prepareText(message: Prepare, epoch: Epoch): string {
  const { round: number, from, to, content, committed, activateAtMs } = message;
  const says = versionOf(committed) === versionOf(from) ? '' : `, v${versionOf(committed)} is committed`;
  const at = activateAtMs === null ? '' : `, activates at ${showInstant(activateAtMs)}`;
  return `prepare round ${roundKey({ epoch, number })} ${stepText(from, to)} ${contentText(content)}${says}${at}`;
}

function stepText(from: Tip | null, to: Tip): string {
  return `${versionText(from)} → v${to.version}`;
}

function versionText(tip: Tip | null): string {
  return tip === null ? 'nothing' : `v${tip.version}`;
}

function contentText(content: Content): string {
  switch (content.kind) {
    case 'version':
      return '(version only)';
    case 'state':
      return `(state, ${content.state.bytes.length} bytes)`;
    case 'change':
      return `(change, ${content.change.bytes.length} bytes)`;
    case 'chain':
      return `(chain of ${content.changes.length}, ${content.changes.reduce((sum, { bytes }) => sum + bytes.length, 0)} bytes)`;
    default:
      return unreachable(content);
  }
}

function prepared(refs: readonly PreparedRef[]): string {
  return refs.length === 0
    ? ''
    : `, prepared ${refs.map(({ round, to, armed }) => `${roundKey(round)} (v${to.version}${armed ? ', armed' : ''})`).join(' ')}`;
}
