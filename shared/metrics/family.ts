/** One metric: its name, its unit and what it says, and how it is read from a node's account of itself. */
export interface Family<Status> {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  /** One sentence, with the unit; `docs/metrics.md` says the same. */
  readonly help: string;
  readonly labels: readonly string[];
  /** The values of the labels in the order of `labels`, and the number. What isn't known has no sample. */
  readonly samples: (status: Status) => Iterable<Sample>;
}

export type Sample = readonly [labels: readonly string[], value: number];

/** A sample for each of some, left out where the number isn't known. */
export function each<Item>(
  items: Iterable<Item>,
  sample: (item: Item) => readonly [labels: readonly string[], value: number | null],
): Sample[] {
  const samples: Sample[] = [];
  for (const item of items) {
    const [labels, value] = sample(item);
    if (value !== null) samples.push([labels, value]);
  }
  return samples;
}

/** One-hot: every state has a sample, and the one that holds is 1. */
export function oneHot(labels: readonly string[], states: readonly string[], current: string): Sample[] {
  return states.map((state) => [[...labels, state.replaceAll(' ', '-')], state === current ? 1 : 0]);
}

export function seconds(durationMs: number | null): number | null {
  return durationMs === null ? null : durationMs / 1000;
}
