import { describe, expect, it } from 'vitest';
import type { CoreGroup} from '../harness/cores.js';
import { type MasterNode } from '../harness/cores.js';
import { leading } from '../harness/leading.js';

/** A group whose master is gone for good, and whose slaves hold version 1. */
function orphaned(): CoreGroup {
  const group = leading(['a', 'b']);
  group.replicate(1);
  group.run(100);
  group.master.alive = false;
  group.run(10_000);
  return group;
}

function requests(group: CoreGroup, master: MasterNode): readonly { readonly to: unknown; readonly request: number }[] {
  return group.sent.flatMap(({ from, to, message }) =>
    from.node === master.peer.node && message.kind === 'snapshot-request' ? [{ to, request: message.request }] : [],
  );
}

describe("adopting a slave's copy", () => {
  it.each(['snapshot-request', 'bulk-offer'] as const)('asks again when the %s is lost, by the same number', (kind) => {
    const group = orphaned();
    let lost = 0;
    group.passes = ({ message }) => {
      if (message.kind !== kind || lost === 3) return true;
      lost += 1;
      return false;
    };
    const heir = group.addMaster('heir', { adoptFrom: 'a' as MasterNode['peer']['node'] });
    group.run(8000);
    const asked = requests(group, heir);
    expect(lost).toBe(3);
    expect(asked.length, 'the lost ones, and one that came through').toBe(4);
    expect(new Set(asked.map(({ request }) => request)).size, 'an answer to any of them will do').toBe(1);
    expect(heir.halted, group.trace.slice(-30).join('\n')).toBeNull();
    expect(heir.core.view(group.nowMs)).toMatchObject({ phase: 'leading', tip: { version: 1 } });
    group.master = heir;
    expect(group.results.get(group.replicate(2))?.kind).toBe('committed');
    expect(group.slaves.map(({ tip }) => tip?.version)).toEqual([2, 2]);
  });

  it('refuses to lead when the source is gone after its report, and says what to do', () => {
    const group = orphaned();
    // It answers the survey, and dies before it is asked for its copy.
    group.passes = ({ message }) => {
      if (message.kind === 'snapshot-request') group.slave('a').alive = false;
      return true;
    };
    const heir = group.addMaster('heir', { adoptFrom: 'a' as MasterNode['peer']['node'] });
    group.run(4900);
    expect(heir.halted, 'it may only be slow').toBeNull();
    expect(requests(group, heir).length).toBeGreaterThan(3);
    group.run(3000);
    expect(heir.halted).toMatch(/a did not offer its copy within \d+ ms; start this master again, or with another slave's name/);
    expect(heir.halted).toContain('--adopt-from a');
    expect(group.sent.some(({ from, message }) => from.node === heir.peer.node && message.kind === 'claim')).toBe(false);
    expect(group.slave('b').tip?.version).toBe(1);
    expect(group.slave('b').core.view(group.nowMs).promised.number, 'nothing was claimed').toBe(1);
  });
});
