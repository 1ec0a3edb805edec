import { inspect } from 'node:util';
import * as fc from 'fast-check';

/**
 * One thing that strangers can reach, and what to feed it. A target draws a short history of inputs, feeds them to a
 * fresh subject and throws when something doesn't hold; fast-check then shrinks the history.
 */
export interface FuzzTarget {
  readonly name: string;
  /** What it feeds to what, for people. */
  readonly about: string;
  /** Inputs of one chunk, about: a chunk is what one seed stands for. */
  readonly chunkInputs: number;
  /** Inputs of one history at most. */
  readonly historyInputs: number;
  /** False where each input takes real time: the history is then shown as it was drawn. Default true. */
  readonly shrinks?: boolean;
  /** A property that reports how many inputs it fed. */
  readonly property: (fed: (inputs: number) => void) => fc.IRawProperty<unknown>;
}

/** A target whose histories are lists of steps. */
export function stepsTarget<Step>(options: {
  readonly name: string;
  readonly about: string;
  readonly chunkInputs: number;
  readonly historyInputs: number;
  readonly shrinks?: boolean;
  readonly step: fc.Arbitrary<Step>;
  readonly feed: (steps: readonly Step[]) => void | Promise<void>;
}): FuzzTarget {
  const { step, feed, ...rest } = options;
  const histories = fc.array(step, { minLength: 1, maxLength: rest.historyInputs, size: 'max' });
  return {
    ...rest,
    property: (fed) =>
      fc.asyncProperty(histories, async (steps) => {
        fed(steps.length);
        await feed(steps);
      }),
  };
}

export interface FuzzResult {
  readonly inputs: number;
  /** What failed, for people, with the command that replays it; null when nothing did. */
  readonly failure: string | null;
}

/** Feeds at least so many inputs, one chunk for each seed from `seed` on, until one fails. */
export async function runTarget(
  target: FuzzTarget,
  options: { readonly inputs: number; readonly seed: number; readonly onProgress?: (inputs: number) => void },
): Promise<FuzzResult> {
  let inputs = 0;
  const fed = (more: number): void => {
    inputs += more;
  };
  // Half of the longest history is what one is long on average.
  const numRuns = Math.max(1, Math.ceil((2 * target.chunkInputs) / target.historyInputs));
  for (let seed = options.seed; inputs < options.inputs; seed += 1) {
    const details = await fc.check(target.property(fed), { seed, numRuns, endOnFailure: target.shrinks === false });
    if (details.failed) {
      const replay = `npm run fuzz -- --target ${target.name} --seed ${seed} --inputs 1`;
      const { errorInstance } = details;
      const history = target.shrinks === false ? '' : (fc.defaultReportMessage(details) ?? '');
      return { inputs, failure: `${inspect(errorInstance)}\n${history}\nreplay: ${replay}` };
    }
    options.onProgress?.(inputs);
  }
  return { inputs, failure: null };
}

/** What a target found wrong; fast-check shows the history that led there. */
export function hold(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}
