/** How a suite waits: on the machine's time, or by moving virtual time on. */
export interface ConformanceTime {
  /** Fails, saying `what`, when the condition doesn't hold within `deadlineMs` (default 5,000) of that time. */
  until(condition: () => boolean, what: string, deadlineMs?: number): Promise<void>;
  /** Lets so much of that time pass: for what must *not* happen. */
  pass(durationMs: number): Promise<void>;
}

export const defaultDeadlineMs = 5000;

/** Waits for a promise in the harness's time: virtual time must move for it to settle. */
export async function settled<Value>(time: ConformanceTime, promise: Promise<Value>, what: string): Promise<Value> {
  let isSettled = false;
  const mark = (): void => {
    isSettled = true;
  };
  promise.then(mark, mark);
  await time.until(() => isSettled, what);
  return promise;
}

/** The error that a promise ends in; fails when it ends well. */
export async function failure(time: ConformanceTime, promise: Promise<unknown>, what: string): Promise<unknown> {
  try {
    await settled(time, promise, what);
  } catch (error) {
    return error;
  }
  throw new Error(`${what}: ended well`);
}

/** The machine's time. */
export const realTime: ConformanceTime = {
  async until(condition, what, deadlineMs = defaultDeadlineMs) {
    const endMs = performance.now() + deadlineMs;
    while (!condition()) {
      if (performance.now() > endMs) throw new Error(`${what}: not within ${deadlineMs} ms`);
      await turn();
    }
  },
  async pass(durationMs) {
    const endMs = performance.now() + durationMs;
    while (performance.now() < endMs) await turn();
  },
};

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 1);
  });
}
