import type { Delta } from '../../shared/protocol/kernel/ids.js';
import { SystemClock } from '../../shared/runtime/clock.js';
import { machineUs } from './serve.js';

const keptVersions = 100;

interface Parts {
  readonly layer: { readonly shared?: { expose(change: Delta): void } };
}

/** When readers of this process first saw each change of the last few, by the machine's one monotonic clock. */
export class Exposures {
  readonly #times = new Map<number, number[]>();

  /** The same parts, whose layer is noted whenever it exposes something. */
  noting<Kind extends Parts>(parts: Kind): Kind {
    const { shared } = parts.layer;
    if (shared === undefined) throw new Error('the layer does not share its transaction');
    const expose = (change: Delta): void => {
      shared.expose(change);
      this.#note(change.to.version);
    };
    Object.defineProperty(parts.layer, 'shared', { value: { ...shared, expose } });
    return parts;
  }

  /** Microseconds, of each node of this process. */
  of(version: number): readonly number[] {
    return this.#times.get(version) ?? [];
  }

  #note(version: number): void {
    const times = this.#times.get(version);
    if (times !== undefined) times.push(machineUs());
    else this.#times.set(version, [machineUs()]);
    this.#times.delete(version - keptVersions);
  }
}

/** So many calls at that microsecond of the machine's clock, with nothing behind them: when each came. */
export function callsAt(atUs: number, count: number): Promise<readonly number[]> {
  const clock = new SystemClock();
  const atMs = clock.monotonicMs() + (atUs - machineUs()) / 1000;
  const call = (): Promise<number> => new Promise((resolve) => clock.exactlyAt(atMs, () => resolve(machineUs())));
  return Promise.all(Array.from({ length: count }, call));
}
