/** The candidate that was probably meant, or null when none is near: `intreface` is near `interface`, `data-set` near `dataSet`. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  const plain = plainly(word);
  let best: { readonly candidate: string; readonly distance: number } | null = null;
  for (const candidate of candidates) {
    const distance = editDistance(plain, plainly(candidate));
    if (distance < (best?.distance ?? Infinity)) best = { candidate, distance };
  }
  return best !== null && best.distance <= Math.max(1, Math.floor(plain.length / 3)) ? best.candidate : null;
}

function plainly(word: string): string {
  return word.toLowerCase().replace(/[-_\s]/g, '');
}

/** Letters put in, left out, replaced, or two beside each other swapped: each is one. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number): number => rows[row]?.[column] ?? Infinity;
  for (let i = 1; i <= a.length; i += 1) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1];
      const isSwapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      rows[i]?.push(
        Math.min(
          at(i - 1, j) + 1,
          at(i, j - 1) + 1,
          at(i - 1, j - 1) + (isSame ? 0 : 1),
          isSwapped ? at(i - 2, j - 2) + 1 : Infinity,
        ),
      );
    }
  }
  return at(a.length, b.length);
}
