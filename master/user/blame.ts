import type { NodeRefusal } from '../../shared/protocol/kernel/outcome.js';
import type { ChangeRefusal } from './key-value-types.js';

/** Who of a round's members was refused. `blamed` is empty when no node named an operation and there are several. */
export interface Blame<Member> {
  readonly blamed: ReadonlyMap<Member, readonly ChangeRefusal[]>;
  readonly clear: readonly Member[];
}

/**
 * Hands the refusals of a round to the callers whose operations they are about, with the positions counted as each
 * caller gave them. A refusal of a round of one is about that one.
 */
export function blame<Member extends { readonly operations: number }>(
  members: readonly Member[],
  refusals: readonly NodeRefusal[],
): Blame<Member> {
  const blamed = new Map<Member, ChangeRefusal[]>();
  const alone = members.length === 1 ? members[0] : undefined;
  for (const refusal of refusals) {
    const named = byMember(members, refusal);
    for (const [member, part] of named) list(blamed, member).push(part);
    if (named.size === 0 && alone !== undefined)
      list(blamed, alone).push({ node: refusal.node, reason: refusal.reason });
  }
  if (alone !== undefined) list(blamed, alone);
  return { blamed, clear: members.filter((member) => !blamed.has(member)) };
}

function byMember<Member extends { readonly operations: number }>(
  members: readonly Member[],
  refusal: NodeRefusal,
): ReadonlyMap<Member, ChangeRefusal> {
  const found = new Map<Member, { readonly operations: number[]; readonly reasons: string[] }>();
  const reasons = refusal.reason.split('\n');
  const positions = refusal.operations ?? [];
  let member = 0;
  let first = 0;
  // Sorted, so that one pass over the members finds them all; each keeps the place of its reason.
  const sorted = positions.map((position, place) => ({ position, place })).sort((a, b) => a.position - b.position);
  for (const { position, place } of sorted) {
    if (!Number.isInteger(position) || position < 0) continue;
    for (
      let size = members[member]?.operations;
      size !== undefined && position >= first + size;
      size = members[member]?.operations
    ) {
      first += size;
      member += 1;
    }
    const owner = members[member];
    if (owner === undefined) break;
    const part = found.get(owner) ?? { operations: [], reasons: [] };
    found.set(owner, part);
    part.operations.push(position - first);
    const reason = reasonFor(reasons, positions.length, place);
    if (!part.reasons.includes(reason)) part.reasons.push(reason);
  }
  return new Map(
    [...found].map(([owner, part]) => [
      owner,
      { node: refusal.node, reason: part.reasons.join('\n'), operations: part.operations },
    ]),
  );
}

/** Our own slaves give one line for each of the first refused operations; anybody else's text is for all of them. */
function reasonFor(lines: readonly string[], operations: number, place: number): string {
  if (lines.length === 1 && operations > 1) return lines[0] ?? '';
  return lines.length > operations ? lines.join('\n') : (lines[place] ?? 'refused, like operations before it');
}

function list<Member>(blamed: Map<Member, ChangeRefusal[]>, member: Member): ChangeRefusal[] {
  const known = blamed.get(member);
  if (known !== undefined) return known;
  const fresh: ChangeRefusal[] = [];
  blamed.set(member, fresh);
  return fresh;
}
