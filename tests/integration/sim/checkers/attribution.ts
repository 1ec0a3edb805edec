import type { Observation } from '../observation.js';

type Receiving = Extract<Observation, { kind: 'receiving' }>;

/**
 * What a datagram brought about while it was handled: a node does that in one turn, so a call of the user layer or a
 * write in between is the datagram's doing.
 */
export class Attribution {
  readonly #open = new Map<string, Receiving>();

  /** The datagram that `observation` is owed to, null when it is none's. */
  causeOf(observation: Observation): Receiving | null {
    if (observation.kind === 'receiving') {
      this.#open.set(observation.node, observation);
      return null;
    }
    if (observation.kind === 'received') this.#open.delete(observation.node);
    if (observation.kind === 'crashed') this.#open.delete(observation.node);
    return observation.kind === 'called' || observation.kind === 'writing'
      ? (this.#open.get(observation.node) ?? null)
      : null;
  }
}
