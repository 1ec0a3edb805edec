import type { MessageKind } from '../../../../../shared/protocol/wire/messages.js';
import type { Observation } from '../../../sim/observation.js';
import type { CallbackName } from '../scenario.js';
import type { NodeEvent } from '../stage.js';

interface Counted {
  sent: Map<MessageKind, number>;
  calls: Map<CallbackName, number>;
  events: NodeEvent[];
}

/** What each node sent, was called for and recorded since the last mark. */
export class Tally {
  readonly #nodes = new Map<string, Counted>();

  mark(): void {
    this.#nodes.clear();
  }

  observe(node: string, observation: Observation): void {
    const counted = this.#of(node);
    if (observation.kind === 'started') counted.sent = new Map();
    if (observation.kind === 'sent') raise(counted.sent, observation.packet.message.kind);
    if (observation.kind === 'called') raise(counted.calls, observation.call);
  }

  event(node: string, event: NodeEvent): void {
    this.#of(node).events.push(event);
  }

  sent(node: string): ReadonlyMap<MessageKind, number> {
    return this.#of(node).sent;
  }

  calls(node: string): ReadonlyMap<CallbackName, number> {
    return this.#of(node).calls;
  }

  events(node: string): readonly NodeEvent[] {
    return this.#of(node).events;
  }

  #of(node: string): Counted {
    const counted = this.#nodes.get(node) ?? { sent: new Map(), calls: new Map(), events: [] };
    this.#nodes.set(node, counted);
    return counted;
  }
}

function raise<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
