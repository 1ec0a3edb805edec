import { expect } from 'vitest';
import type { MasterConfig } from '../../../master/service/core/io.js';
import { CoreGroup } from './cores.js';

/** A group whose master leads and whose slaves hold leases. */
export function leading(names: readonly string[], overrides: Partial<MasterConfig> = {}): CoreGroup {
  const group = new CoreGroup(names, overrides);
  group.start();
  group.run(2500);
  expect(group.master.core.view(group.nowMs).phase, group.trace.slice(-30).join('\n')).toBe('leading');
  for (const slave of group.slaves)
    expect(slave.core.view(group.nowMs).state, group.trace.slice(-30).join('\n')).toBe('current');
  return group;
}
