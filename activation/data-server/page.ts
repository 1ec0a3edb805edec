import type { CopiedItem, Page, PageRequest } from './cycle-store.js';

/** As many rows as a page takes; of the rest, only whether there is any. */
export function pageOf(rows: Iterable<CopiedItem>, request: PageRequest): Pick<Page<never>, 'changes' | 'next'> {
  const changes: CopiedItem[] = [];
  let characters = 0;
  for (const row of rows) {
    const last = changes.at(-1);
    if (last !== undefined && (changes.length >= request.maxChanges || characters >= request.maxCharacters))
      return { changes, next: { cycle: last.cycle, key: last.key } };
    changes.push(row);
    characters += row.key.length + (row.value?.length ?? 0);
  }
  return { changes, next: null };
}
