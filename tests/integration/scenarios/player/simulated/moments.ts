import type { DataSetId } from '../../../../../shared/protocol/kernel/ids.js';
import type { Random } from '../../../../../shared/protocol/kernel/random.js';
import type { MessageKind } from '../../../../../shared/protocol/wire/messages.js';
import { masterKeys } from '../../../../../master/service/core/records.js';
import type { Observation } from '../../../sim/observation.js';
import type { Moment } from '../scenario.js';

/** A write to the simulated disk takes up to this: a crash drawn within it falls before, inside or after the write. */
const aroundWriteMs = 0.6;

export interface MomentsParts {
  readonly dataSet: DataSetId;
  readonly random: Random;
  /** kill −9, now. */
  readonly crash: (node: string) => void;
  readonly after: (delayMs: number, action: () => void) => void;
  readonly isDeciding: (node: string) => boolean;
}

/** Ends a process at the moment that a scenario names, each armed moment once. */
export class Moments {
  readonly #parts: MomentsParts;
  readonly #moments = new Map<string, { readonly moment: Moment; left: number }>();
  readonly #messages = new Map<string, MessageKind>();
  /** The layer of this node was just told to commit, or to install: its next write is that. */
  readonly #called = new Map<string, 'commit' | 'install'>();

  constructor(parts: MomentsParts) {
    this.#parts = parts;
  }

  arm(node: string, moment: Moment, occurrence = 1): void {
    this.#moments.set(node, { moment, left: occurrence - 1 });
  }

  armBefore(node: string, message: MessageKind): void {
    this.#messages.set(node, message);
  }

  observe(observation: Observation): void {
    switch (observation.kind) {
      case 'sent':
        if (this.#messages.get(observation.node) !== observation.packet.message.kind) return;
        this.#messages.delete(observation.node);
        this.#parts.crash(observation.node);
        return;
      case 'called':
        if (observation.call === 'commit' || observation.call === 'install')
          this.#called.set(observation.node, observation.call);
        return;
      case 'writing':
        this.#onWriting(observation.node);
        return;
      case 'durable':
        if (observation.operations.some(({ kind, key }) => kind === 'put' && this.#isDecision(key)))
          this.#reached(observation.node, 'after-decision');
        return;
      case 'exposed':
        if (observation.how === 'commit') this.#reached(observation.node, 'after-commit');
        return;
      default:
        return;
    }
  }

  #onWriting(node: string): void {
    if (this.#parts.isDeciding(node)) this.#reached(node, 'before-decision');
    const called = this.#called.get(node);
    if (called === undefined) return;
    this.#called.delete(node);
    const armed = this.#moments.get(node);
    if (armed?.moment !== `during-${called}`) return;
    this.#moments.delete(node);
    this.#parts.after(this.#parts.random.next() * aroundWriteMs, () => {
      this.#parts.crash(node);
    });
  }

  #reached(node: string, moment: Moment): void {
    const armed = this.#moments.get(node);
    if (armed?.moment !== moment) return;
    if (armed.left > 0) {
      armed.left -= 1;
      return;
    }
    this.#moments.delete(node);
    this.#parts.crash(node);
  }

  #isDecision(key: readonly (string | number)[]): boolean {
    const prefix = masterKeys.histories(this.#parts.dataSet);
    return key.length > prefix.length && prefix.every((part, index) => part === key[index]);
  }
}
