/** Commands that callers wait for, by the number that the core knows them by. */
export class Commands<Result> {
  readonly #pending = new Map<
    number,
    { readonly settle: (result: Result) => void; readonly cut: (error: Error) => void }
  >();
  #next = 1;

  get size(): number {
    return this.#pending.size;
  }

  /** `whenCut` makes the result of a command that nobody answers any more; without it the command rejects. */
  open(whenCut?: (error: Error) => Result): { readonly command: number; readonly result: Promise<Result> } {
    const command = this.#next;
    this.#next += 1;
    const result = new Promise<Result>((settle, fail) => {
      const cut = (error: Error): void => {
        if (whenCut === undefined) fail(error);
        else settle(whenCut(error));
      };
      this.#pending.set(command, { settle, cut });
    });
    return { command, result };
  }

  settle(command: number, result: Result): void {
    const pending = this.#pending.get(command);
    this.#pending.delete(command);
    pending?.settle(result);
  }

  /** Ends every command that is still open; nobody is left waiting. */
  cutAll(error: Error): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const command of pending) command.cut(error);
  }
}

/** Callers that wait until something holds. Each leaves by the condition, its signal, its deadline, or the end. */
export class Waiters<Value> {
  readonly #waiting = new Set<{
    readonly test: (value: Value) => boolean;
    readonly done: (value: Value) => void;
    readonly fail: (error: Error) => void;
  }>();

  get size(): number {
    return this.#waiting.size;
  }

  /** `aborted` makes the error for the caller's signal. */
  wait(test: (value: Value) => boolean, signal: AbortSignal | undefined, aborted: () => Error): Waiting<Value> {
    let fail: (error: Error) => void = () => undefined;
    const result = new Promise<Value>((done, reject) => {
      const onAbort = (): void => {
        leave(aborted());
      };
      const entry = {
        test,
        done: (value: Value): void => {
          this.#waiting.delete(entry);
          signal?.removeEventListener('abort', onAbort);
          done(value);
        },
        fail: (error: Error): void => {
          leave(error);
        },
      };
      const leave = (error: Error): void => {
        this.#waiting.delete(entry);
        signal?.removeEventListener('abort', onAbort);
        reject(error);
      };
      fail = leave;
      if (signal?.aborted === true) {
        leave(aborted());
        return;
      }
      this.#waiting.add(entry);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
    return { result, fail };
  }

  /** Lets go those whose condition holds. */
  offer(value: Value): void {
    for (const entry of [...this.#waiting]) if (entry.test(value)) entry.done(value);
  }

  failAll(error: Error): void {
    for (const entry of [...this.#waiting]) entry.fail(error);
  }
}

export interface Waiting<Value> {
  readonly result: Promise<Value>;
  /** Ends the wait: for deadlines. */
  readonly fail: (error: Error) => void;
}
