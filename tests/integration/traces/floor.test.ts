import { describe, expect, it } from 'vitest';
import { leading } from '../harness/leading.js';

/** More rounds than heartbeats remember the outcomes of. */
const rounds = 40;

describe('the floor of open rounds', () => {
  it('keeps out a prepare of a settled round whose outcome was never heard', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message }, receiver) =>
      receiver !== 'a' || (message.kind !== 'prepare' && message.kind !== 'abort' && message.kind !== 'heartbeat');
    group.slave('b').veto = () => ({ kind: 'refused', reason: 'no', refused: [] });
    for (let version = 1; version <= rounds; version += 1) group.replicate(version);
    group.slave('b').veto = null;
    group.passes = () => true;
    group.run(1000); // heartbeats name the floor, and the newest outcomes only
    const late = group.sent.find(({ message }) => message.kind === 'prepare' && message.round === 1);
    if (late === undefined) throw new Error('nothing was prepared');
    group.deliverNow('a', late);
    expect(group.slave('a').calls).toEqual([]);
    expect(group.slave('a').core.view(group.nowMs).inDoubt).toEqual([]);
  });
});
