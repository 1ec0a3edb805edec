/** What has to notice a mutation. */
export type CaughtBy =
  /** The simulator fails and names this checker. */
  | { readonly kind: 'checker'; readonly id: string; readonly seeds: number; readonly args?: readonly string[] }
  /** This test file fails, and the title of the failed test is named. */
  | { readonly kind: 'test'; readonly file: string; readonly title: string };

/** One deliberate break of one guarantee. */
export interface Mutation {
  readonly name: string;
  /** What is broken: G1 to G16, or a row of its own in `docs/guarantees.md`. */
  readonly guarantee: string;
  /** Mostly one. Where several guards hold one thing, all of them have to go before it breaks. */
  readonly edits: readonly Edit[];
  readonly caughtBy: CaughtBy;
}

export interface Edit {
  readonly file: string;
  /** Occurs exactly once in the file, so that a mutation never silently misses its place. */
  readonly find: string;
  readonly replace: string;
}

export type Applied = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly reason: string };

export function applyEdit(text: string, { find, replace }: Pick<Edit, 'find' | 'replace'>): Applied {
  const places = text.split(find).length - 1;
  if (places !== 1) return { ok: false, reason: `the text to replace occurs ${places} times, not once` };
  if (find === replace) return { ok: false, reason: 'it replaces the text by itself' };
  return { ok: true, text: text.replace(find, () => replace) };
}
