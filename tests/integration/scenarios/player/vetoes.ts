import type { Json, Operation } from '../../../../shared/protocol/key-value/operations.js';
import type { Veto } from './scenario.js';

/** Why one of the vetoes refuses the operation; null: none does. The same for simulated and for real slaves. */
export function refusalOf(vetoes: readonly Veto[], operation: Operation<Json>): string | null {
  const [key, value] = 'put' in operation ? operation.put : [operation.delete, null];
  const found = vetoes.find((veto) => {
    if (veto.key !== null && veto.key !== key) return false;
    return veto.below === null || (typeof value === 'number' && value < veto.below);
  });
  return found?.reason ?? null;
}
