import type { Peer } from '../protocol/kernel/ids.js';
import type { Random } from '../protocol/kernel/random.js';
import { errorText } from '../protocol/kernel/errors.js';
import type { EventOf } from '../protocol/kernel/events.js';
import { KeyedSeal } from '../protocol/secure/keyed-seal.js';
import { groupKeys, type GroupKeys, type KeyRole } from '../protocol/secure/keys.js';
import type { NodeEvents } from './events.js';
import { readKeys, type KeySource } from './key-files.js';
import type { Clock, EventLog } from './ports.js';

/** A node's keys while it runs: datagrams and streams use the same, and change them together. */
export class NodeKeys {
  readonly #role: KeyRole;
  #source: KeySource;
  #keys: GroupKeys;
  #seal: KeyedSeal | null = null;

  private constructor(role: KeyRole, source: KeySource, keys: GroupKeys) {
    this.#role = role;
    this.#source = source;
    this.#keys = keys;
  }

  /** Rejects with `bad-option`. */
  static async load(source: KeySource, role: KeyRole): Promise<NodeKeys> {
    return new NodeKeys(role, source, await groupKeysOf(source, role));
  }

  get current(): GroupKeys {
    return this.#keys;
  }

  /** The seal of this process: there is one. */
  seal(self: Peer, { clock, random }: { readonly clock: Clock; readonly random: Random }): KeyedSeal {
    const salt = random.hex128().slice(0, 16);
    this.#seal = new KeyedSeal({ self, keys: this.#keys, startedMs: clock.wallMs(), salt });
    return this.#seal;
  }

  /**
   * Reads the keys again, or others, and uses them from now on. Rejects with `bad-option` when they can't be used: then
   * those before stay in use. Either way the log gets a record.
   */
  async reload(log: EventLog, source: KeySource = this.#source): Promise<void> {
    let keys: GroupKeys;
    try {
      keys = await groupKeysOf(source, this.#role);
    } catch (error) {
      log.record({
        name: 'keys-refused',
        level: 'error',
        fields: { reason: errorText(error), inUse: namesOf(this.#keys) },
      } satisfies EventOf<NodeEvents, 'keys-refused'>);
      throw error;
    }
    this.#source = source;
    this.#keys = keys;
    this.#seal?.replaceKeys(keys);
    log.record({
      name: 'keys-changed',
      level: 'info',
      fields: { inUse: namesOf(keys) },
    } satisfies EventOf<NodeEvents, 'keys-changed'>);
  }
}

async function groupKeysOf(source: KeySource, role: KeyRole): Promise<GroupKeys> {
  const { keys, where } = await readKeys(source);
  return groupKeys(keys, role, where);
}

/** Ids are no secret: they stand in each datagram. */
function namesOf(keys: GroupKeys): string {
  return [...keys.byId.keys()].map((id) => (id === keys.current.id ? `${id} (current)` : String(id))).join(', ');
}
