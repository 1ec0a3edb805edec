/** value = base + slope × n, by least squares, and how far the worst point lies from it as a share of its value. */
export interface LinearFit {
  readonly base: number;
  readonly slope: number;
  readonly worst: number;
}

export function linearFit(points: readonly { readonly n: number; readonly value: number }[]): LinearFit {
  const count = points.length;
  const meanN = points.reduce((sum, { n }) => sum + n, 0) / count;
  const meanValue = points.reduce((sum, { value }) => sum + value, 0) / count;
  let together = 0;
  let alone = 0;
  for (const { n, value } of points) {
    together += (n - meanN) * (value - meanValue);
    alone += (n - meanN) ** 2;
  }
  const slope = alone === 0 ? 0 : together / alone;
  const base = meanValue - slope * meanN;
  const worst = Math.max(...points.map(({ n, value }) => Math.abs(base + slope * n - value) / Math.abs(value)));
  return { base, slope, worst };
}
