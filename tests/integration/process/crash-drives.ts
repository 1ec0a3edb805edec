import type { CrashRole, CrashPointName, CrashStep } from '../../../shared/runtime/crash-points.js';
import type { ChangeKind, CrashGroup, NodeName } from './crash-group.js';
import { nodeNames } from './crash-group.js';
import { eventually } from './lockstep-process.js';

/**
 * What has to happen for a process to come by a step. It leaves the armed process dead by its point; whoever else it
 * stopped on the way is down too, and is started again with it.
 */
export interface Drive {
  /** Who is armed. */
  readonly node: NodeName;
  readonly run: (group: CrashGroup, point: CrashPointName) => Promise<void>;
  /** The master begins again from nothing: the slowest drives, several lives each, most of them left to `npm run crash`. */
  readonly fromEmptyStore?: true;
}

/** Of one change; two of them make a delta that goes over TCP. */
const bulkBytes = 700_000;
/** So that changes before the fatal one are acknowledged in the same life. */
const occurrence = 2;

/** The step is taken while the process starts, or by itself once it runs. */
function starting(node: NodeName): Drive {
  return {
    node,
    run: async (group, point) => {
      await group.kill(node);
      group.boot(node, { point });
    },
  };
}

/** Changes of one kind until the process is dead. The first ones reach their outcome, in the same life. */
function changing(node: NodeName, kind: ChangeKind, times = occurrence): Drive {
  return {
    node,
    run: async (group, point) => {
      await restarted(group, node, point, times);
      await eventually(`the death of ${node}`, async () => {
        if (!group.isRunning(node)) return true;
        await group.change(kind);
        return undefined;
      });
    },
  };
}

/** A slave that was away while changes were made comes back. */
function catchingUp(node: 'master' | 'a', bytes = 0): Drive {
  return {
    node,
    run: async (group, point) => {
      if (node === 'master') await restarted(group, 'master', point);
      await group.kill('a');
      await group.changed('one phase', bytes);
      await group.changed('one phase', bytes);
      group.boot('a', node === 'a' ? { point } : null);
    },
  };
}

/** A slave comes in a new life, which the armed master has to write down before it welcomes it. */
function joining(): Drive {
  return {
    node: 'master',
    run: async (group, point) => {
      await restarted(group, 'master', point);
      await group.kill('a');
      group.boot('a');
    },
  };
}

/** The master starts while the armed slaves run. */
function newReign(node: 'a' | 'b'): Drive {
  return {
    node,
    run: async (group, point) => {
      await restarted(group, node, point);
      await group.kill('master');
      group.boot('master');
    },
  };
}

/** Slave a was killed once it had prepared; its round was aborted; it comes back in doubt, to no master or to the armed one. */
function inDoubt(node: NodeName): Drive {
  return {
    node,
    run: async (group, point) => {
      if (node === 'b') await restarted(group, 'b', point);
      await restarted(group, 'a', 'slave:after-write:prepared');
      await eventually('the yes of a', async () => {
        if (!group.isRunning('a')) return true;
        await group.change('two phases');
        return undefined;
      });
      await group.diedAtItsPoint('a');
      await group.kill('master');
      if (node === 'master') {
        // It is there before slave a asks: otherwise b, which learnt of the abort, may tell a first.
        group.boot('master', { point });
        await group.url('master');
      }
      group.boot('a', node === 'a' ? { point } : null);
    },
  };
}

/** The operator decides, as the master will, what nobody can tell slave a. */
function resolving(): Drive {
  const { run } = inDoubt('a');
  return {
    node: 'a',
    run: async (group, point) => {
      await run(group, point);
      const round = await eventually('the round in doubt', async () => {
        const status = await group.status('a');
        return status?.role === 'slave' ? status.dataSets[0]?.inDoubt[0]?.round : undefined;
      });
      await fetch(`${await group.url('a')}/v1/in-doubt/default/${round}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ outcome: 'abort', by: 'the test', iUnderstand: true }),
      }).catch(() => null); // it dies before it answers
    },
  };
}

/** Told to stop, a node says goodbye. */
function stopping(node: NodeName): Drive {
  return {
    node,
    run: async (group, point) => {
      await restarted(group, node, point);
      group.signal(node, 'SIGTERM');
    },
  };
}

/** An empty master leads by `--reset-group`; the slaves find themselves off its chain, and heal by snapshot. */
function resetting(node: 'master' | 'a'): Drive {
  return {
    node,
    fromEmptyStore: true,
    run: async (group, point) => {
      for (const each of nodeNames) await group.kill(each);
      group.giveMasterEmptyStore('--reset-group');
      group.boot('master', node === 'master' ? { point } : null);
      await group.changed('one phase');
      group.boot('a', node === 'a' ? { point } : null);
      group.boot('b');
    },
  };
}

/** An empty master takes slave a's copy for its original. */
function adopting(node: 'master' | 'a'): Drive {
  return {
    node,
    fromEmptyStore: true,
    run: async (group, point) => {
      if (node === 'a') await restarted(group, 'a', point);
      await group.kill('master');
      group.giveMasterEmptyStore('--adopt-from', 'a');
      group.boot('master', node === 'master' ? { point } : null);
      // Without the copy that it was told to take, the master doesn't lead.
      if (node === 'a') await eventually('the end of the master', () => (group.isRunning('master') ? undefined : true));
    },
  };
}

/** Somebody from outside does something that the group answers. */
function disturbed(...stranger: string[]): Drive {
  return {
    node: 'master',
    run: async (group, point) => {
      await restarted(group, 'master', point);
      const process = group.stranger(...stranger);
      await eventually('the death of the master', () => (group.isRunning('master') ? undefined : true));
      process.signal('SIGKILL');
      await process.ended;
    },
  };
}

/** Killed and started again, armed, and then a full member of the group. */
async function restarted(group: CrashGroup, node: NodeName, point: CrashPointName, times = 1): Promise<void> {
  await group.kill(node);
  group.boot(node, { point, occurrence: times });
  await group.bothLive();
}

/** One entry for each step of the table: a step without one, and an entry without a step, are no program. */
export const drives: { readonly [Role in CrashRole]: Readonly<Record<CrashStep<Role>, Drive>> } = {
  master: {
    'send:survey': starting('master'),
    'send:report': disturbed('master', '--name', 'second', '--store', './data/second'),
    'send:claim': starting('master'),
    'send:welcome': starting('master'),
    'send:refusal': disturbed('slave', '--name', 'a', '--store', './data/twin-of-a'),
    'send:heartbeat': starting('master'),
    'send:clock': starting('master'),
    'send:announce': changing('master', 'one phase'),
    'send:prepare': changing('master', 'two phases'),
    'send:commit': changing('master', 'two phases'),
    'send:abort': changing('master', 'refused'),
    'send:arming': changing('master', 'scheduled', 1),
    'send:resolution': inDoubt('master'),
    'send:deltas': catchingUp('master'),
    'send:too-old': resetting('master'),
    'send:bulk-offer': catchingUp('master', bulkBytes),
    'send:snapshot-request': adopting('master'),
    'send:leave': stopping('master'),
    'write:start': starting('master'),
    'write:epoch': starting('master'),
    'write:member': joining(),
    'write:decision': changing('master', 'two phases'),
    'write:arming': changing('master', 'scheduled', 1),
    'write:adoption': adopting('master'),
    'write:copy': adopting('master'),
    'callback:open': starting('master'),
    'callback:write': changing('master', 'two phases'),
    'callback:expose': changing('master', 'one phase'),
    'callback:restore': changing('master', 'refused'),
    'callback:snapshot': resetting('master'),
    'callback:install': adopting('master'),
  },
  slave: {
    'send:report': newReign('a'),
    'send:promise': newReign('a'),
    'send:join': starting('a'),
    'send:status': starting('a'),
    'send:clock-request': starting('a'),
    'send:vote': changing('a', 'two phases'),
    'send:inquiry': inDoubt('a'),
    'send:resolution': inDoubt('b'),
    'send:delta-request': catchingUp('a'),
    'send:snapshot-request': resetting('a'),
    'send:bulk-offer': adopting('a'),
    'send:leave': stopping('a'),
    'write:start': starting('a'),
    'write:promise': newReign('a'),
    'write:prepared': changing('a', 'two phases'),
    'write:armed': changing('a', 'scheduled', 1),
    'write:copy': changing('a', 'two phases'),
    'write:release': changing('a', 'refused'),
    'write:resolved': resolving(),
    'callback:open': starting('a'),
    'callback:prepare': changing('a', 'two phases'),
    'callback:write': changing('a', 'one phase'),
    'callback:expose': changing('a', 'two phases'),
    'callback:abort': changing('a', 'refused'),
    'callback:install': resetting('a'),
    'callback:snapshot': adopting('a'),
  },
};
