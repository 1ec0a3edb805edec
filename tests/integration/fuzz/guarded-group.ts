import { isIntact } from '../../../shared/protocol/kernel/digest.js';
import type { Delta, Epoch, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { roundKey, showTip } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Message } from '../../../shared/protocol/wire/messages.js';
import type { SlaveEffect } from '../../../slave/service/core/io.js';
import { CoreGroup, type SlaveNode } from '../harness/cores.js';
import { hold } from './target.js';

/** What each step of a core may ask for at most: more would be work that one packet makes. */
const maxEffects = 4 * limits.maxOpenRounds + 64;
/** A group of these cores is small; whatever grows beyond this grows with what strangers send. */
const maxHeldRounds = limits.maxOpenRounds;

export interface GuardedGroup {
  readonly cores: CoreGroup;
  readonly nowMs: number;
  tell(to: string, packet: { readonly from: Peer; readonly epoch: Epoch; readonly message: Message }): void;
  end(): void;
}

/**
 * A leading master and its slaves, real cores, with a guard on everything that a slave's core asks for. What holds
 * whoever sent what, also under forged packets of the true reign: the bytes that reach the user layer are those of
 * their digest (G11); it is asked one thing at a time; a change is committed on the state that it starts from (the
 * harness throws else); no yes leaves before its record is written (G2); and what is held is bounded (G10).
 */
export function guardedGroup(names: readonly string[]): GuardedGroup {
  const cores = new CoreGroup(names);
  cores.start();
  cores.run(2500);
  for (const slave of cores.slaves) guard(slave);
  return {
    cores,
    get nowMs() {
      return cores.nowMs;
    },
    tell(to, packet) {
      if (to === 'master') cores.command({ kind: 'received', ...packet });
      else cores.deliverNow(to, { ...packet, to: cores.slave(to).peer });
      checkBounds(cores);
    },
    end() {
      cores.run(100);
      checkBounds(cores);
    },
  };
}

function guard(slave: SlaveNode): void {
  const { core } = slave;
  const step = core.step.bind(core);
  let running: number | null = null;
  core.step = (input, nowMs) => {
    if (input.kind === 'answered' && input.token === running) running = null;
    const effects = step(input, nowMs);
    hold(effects.length <= maxEffects, `${slave.name} does ${effects.length} things for one ${input.kind}`);
    for (const effect of effects) {
      const token = checkEffect(slave, effect);
      if (token === null) continue;
      hold(running === null, `${slave.name}: the user layer is called while it is still busy`);
      running = token;
    }
    return effects;
  };
}

/** The token of a call of the user layer, or null. */
function checkEffect(slave: SlaveNode, effect: SlaveEffect): number | null {
  switch (effect.kind) {
    case 'callUser':
      if (effect.call.name === 'prepare') checkIntact(slave, effect.call.change);
      return effect.token;
    case 'commitUser':
      checkIntact(slave, effect.change);
      return effect.token;
    case 'send': {
      const { message } = effect;
      if (message.kind !== 'vote' || !message.upToDate || !message.canProcess) return null;
      const wasWritten = slave.kept.some(({ key }) => key.at(-1) === roundKey(message.round));
      hold(wasWritten, `${slave.name} says yes to ${showTip(message.to)} before its record is written (G2)`);
      return null;
    }
    default:
      return null;
  }
}

function checkIntact(slave: SlaveNode, change: Delta): void {
  hold(isIntact(change), `${slave.name}: ${showTip(change.to)} reaches the user layer with bytes not its own (G11)`);
}

function checkBounds(cores: CoreGroup): void {
  for (const { name, core } of cores.slaves) {
    const { inDoubt } = core.view(cores.nowMs);
    hold(inDoubt.length <= maxHeldRounds, `${name} holds ${inDoubt.length} rounds in doubt (G10)`);
    hold(core.backlogBytes <= limits.maxPendingBytes, `${name} has ${core.backlogBytes} bytes waiting (G10)`);
  }
  const { openRounds, queued, historyBytes, members } = cores.master.core.view(cores.nowMs);
  hold(openRounds.length <= limits.maxOpenRounds, `${openRounds.length} rounds are open (G10)`);
  hold(queued <= limits.maxQueuedReplications, `${queued} replications wait (G10)`);
  hold(historyBytes <= limits.historyBytes, `the history has ${historyBytes} bytes (G10)`);
  hold(members.length <= limits.maxMembers, `${members.length} members (G10)`);
}

/** Tips of everything that is known to the group: what a forger who listens would name. */
export function knownTips(cores: CoreGroup): readonly Tip[] {
  const tips: Tip[] = [];
  for (const { message } of cores.sent.slice(-60)) {
    if ('to' in message && message.to !== null) tips.push(message.to);
    if ('from' in message && message.from !== null) tips.push(message.from);
  }
  return tips;
}
