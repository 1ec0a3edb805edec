import Table from 'cli-table3';
import type { GuaranteeId } from './checkers/checker.js';
import { guaranteeIds } from './checkers/checker.js';
import type { CoveredCells } from './coverage.js';
import type { FaultKind } from './faults.js';

/** Cells that can't make sense, each with the reason. */
export const impossibleCells: readonly {
  readonly kind: FaultKind;
  readonly guarantee: GuaranteeId;
  readonly reason: string;
}[] = [
  {
    kind: 'take-over',
    guarantee: 'G13',
    reason: 'until two masters have heard each other, either may lead without what the other has just acknowledged',
  },
];

/** From so many seeds on an empty cell fails the run. */
export const seedsForCoverage = 500;

function isImpossible(kind: FaultKind, id: GuaranteeId): boolean {
  return impossibleCells.some((cell) => cell.kind === kind && cell.guarantee === id);
}

/** Fault kinds × guarantees: in how many seeds the guarantee was judged after the fault had struck. */
export class CoverageTable {
  readonly #counts = new Map<FaultKind, Map<GuaranteeId, number>>();

  constructor(kinds: readonly FaultKind[]) {
    for (const kind of kinds) this.#counts.set(kind, new Map());
  }

  add(cells: CoveredCells): void {
    for (const [kind, counts] of this.#counts) {
      for (const id of cells[kind] ?? []) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  }

  /** Cells that no seed filled, as "fault × guarantee". */
  get empty(): readonly string[] {
    return [...this.#counts].flatMap(([kind, counts]) =>
      guaranteeIds.filter((id) => !counts.has(id) && !isImpossible(kind, id)).map((id) => `${kind} × ${id}`),
    );
  }

  get json(): Readonly<Record<string, Readonly<Record<string, number>>>> {
    return Object.fromEntries(
      [...this.#counts].map(([kind, counts]) => [
        kind,
        Object.fromEntries(guaranteeIds.map((id) => [id, counts.get(id) ?? 0])),
      ]),
    );
  }

  get text(): string {
    const table = new Table({
      head: ['fault, then seeds in which was judged', ...guaranteeIds],
      style: { head: [], border: [], compact: true },
      colAligns: ['left', ...guaranteeIds.map(() => 'right' as const)],
    });
    for (const [kind, counts] of this.#counts) {
      table.push([kind, ...guaranteeIds.map((id) => (isImpossible(kind, id) ? '–' : String(counts.get(id) ?? 0)))]);
    }
    return table.toString();
  }
}
