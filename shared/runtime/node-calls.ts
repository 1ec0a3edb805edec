import { errorText } from '../protocol/kernel/errors.js';
import type { Clock } from './ports.js';

/** How a call of the user layer ended. `late`: not yet, but its time is over; the real end is told by a second call. */
export type CallEnd<Result> =
  | { readonly ok: true; readonly value: Result }
  | { readonly ok: false; readonly reason: string; readonly late: boolean };

export interface UserCall<Result> {
  /** The callback, for people: `prepare`, `commit`. */
  readonly name: string;
  /** Null: as long as it takes. */
  readonly limitMs: number | null;
  readonly call: () => Result | PromiseLike<Result>;
  /** Its time is over: what the callback was given to watch may be aborted. */
  readonly expired?: () => void;
}

/**
 * The calls of one data set's user layer: one at a time, each with its time limit. A callback that answers at once is
 * answered at once, without a promise or a timer between. A call that comes while another is under way waits its turn.
 */
export class UserCalls {
  readonly #clock: Clock;
  readonly #enter: (work: () => void) => void;
  #busy = false;
  readonly #waiting: (() => void)[] = [];

  /** `enter` brings what happens later into the node's turn. */
  constructor(clock: Clock, enter: (work: () => void) => void) {
    this.#clock = clock;
    this.#enter = enter;
  }

  /** True from the start of a call to its real end, however late. */
  get busy(): boolean {
    return this.#busy;
  }

  run<Result>(call: UserCall<Result>, ended: (end: CallEnd<Result>) => void): void {
    if (this.#busy) this.#wait(call, ended);
    else this.#start(call, ended);
  }

  #wait<Result>(call: UserCall<Result>, ended: (end: CallEnd<Result>) => void): void {
    let cancel: (() => void) | null = null;
    const start = (): void => {
      cancel?.();
      this.#start(call, ended);
    };
    this.#waiting.push(start);
    if (call.limitMs === null) return;
    cancel = this.#clock.at(this.#clock.monotonicMs() + call.limitMs, () => {
      this.#enter(() => {
        const place = this.#waiting.indexOf(start);
        if (place === -1) return;
        this.#waiting.splice(place, 1);
        ended({ ok: false, reason: `${call.name} could not start: an earlier call hasn't returned`, late: false });
      });
    });
  }

  #start<Result>(call: UserCall<Result>, ended: (end: CallEnd<Result>) => void): void {
    this.#busy = true;
    let result: Result | PromiseLike<Result>;
    try {
      result = call.call();
    } catch (error) {
      this.#end({ ok: false, reason: thrown(call.name, error), late: false }, ended);
      return;
    }
    if (!isThenable(result)) {
      this.#end({ ok: true, value: result }, ended);
      return;
    }
    const cancelLimit = this.#limit(call, ended);
    const settle = (end: CallEnd<Result>): void => {
      this.#enter(() => {
        cancelLimit();
        this.#end(end, ended);
      });
    };
    result.then(
      (value) => {
        settle({ ok: true, value });
      },
      (error: unknown) => {
        settle({ ok: false, reason: thrown(call.name, error), late: false });
      },
    );
  }

  #limit<Result>(call: UserCall<Result>, ended: (end: CallEnd<Result>) => void): () => void {
    const limitMs = call.limitMs;
    if (limitMs === null) return () => undefined;
    return this.#clock.at(this.#clock.monotonicMs() + limitMs, () => {
      this.#enter(() => {
        call.expired?.();
        ended({ ok: false, reason: `${call.name} took longer than ${limitMs} ms`, late: true });
      });
    });
  }

  #end<Result>(end: CallEnd<Result>, ended: (end: CallEnd<Result>) => void): void {
    this.#busy = false;
    ended(end);
    if (!this.#busy) this.#waiting.shift()?.();
  }
}

function thrown(name: string, error: unknown): string {
  return `${name} threw: ${errorText(error)}`;
}

function isThenable<Result>(value: Result | PromiseLike<Result>): value is PromiseLike<Result> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
