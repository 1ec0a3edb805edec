import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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
  /** What was held more at the end than after the first chunk, when all that is loaded once was loaded. */
  readonly grownBytes: number;
  /** What failed, for people, with the command that replays it; null when nothing did. */
  readonly failure: string | null;
}

/** Noise of the engine's own. An input that left a thousand bytes behind would pass it within 17,000. */
const growthBytes = 16 * 1024 * 1024;

/** Feeds at least so many inputs, one chunk for each seed from `seed` on, until one fails; and compares what is then held. */
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
  let warmBytes: number | null = null;
  for (let seed = options.seed; inputs < options.inputs; seed += 1) {
    const details = await fc.check(target.property(fed), { seed, numRuns, endOnFailure: target.shrinks === false });
    if (details.failed) {
      const replay = `npm run fuzz -- --target ${target.name} --seed ${seed} --inputs 1`;
      const { errorInstance } = details;
      const history = target.shrinks === false ? '' : (fc.defaultReportMessage(details) ?? '');
      return { inputs, grownBytes: 0, failure: `${inspect(errorInstance)}\n${history}\nreplay: ${replay}` };
    }
    warmBytes ??= heldBytes();
    options.onProgress?.(inputs);
  }
  const grownBytes = warmBytes === null ? 0 : heldBytes() - warmBytes;
  const failure =
    grownBytes > growthBytes
      ? `${inputs} inputs left ${grownBytes} bytes behind, of which ${growthBytes} are allowed`
      : null;
  return { inputs, grownBytes, failure };
}

/** Of the heap and beside it, once what nobody holds has been collected. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** What a target found wrong; fast-check shows the history that led there. */
export function hold(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}
