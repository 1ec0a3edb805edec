import type { GuaranteeId } from './checkers/checker.js';
import { guaranteeIds } from './checkers/checker.js';
import type { FaultKind } from './faults.js';

/** A fault that really struck, and a guarantee that was judged after it, in one run. */
export type CoveredCells = Readonly<Partial<Record<FaultKind, readonly GuaranteeId[]>>>;

/**
 * Which guarantees were put to the test by which faults. A fault counts when it did something: a packet was lost, a
 * process died, a callback threw. A guarantee counts when its checker had something to judge afterwards: a vote that
 * left, a copy that was shown, a decision that was told.
 */
export class Coverage {
  readonly #struck = new Set<FaultKind>();
  readonly #judged = new Map<GuaranteeId, Set<FaultKind>>(guaranteeIds.map((id) => [id, new Set()]));

  struck(kind: FaultKind): void {
    this.#struck.add(kind);
  }

  judged(id: GuaranteeId): void {
    const kinds = this.#judged.get(id);
    if (kinds === undefined || kinds.size === this.#struck.size) return;
    for (const kind of this.#struck) kinds.add(kind);
  }

  get cells(): CoveredCells {
    const cells: Partial<Record<FaultKind, GuaranteeId[]>> = {};
    for (const kind of this.#struck) cells[kind] = guaranteeIds.filter((id) => this.#judged.get(id)?.has(kind));
    return cells;
  }
}
