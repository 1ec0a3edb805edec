import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SlaveDataSetBody, StatusBody } from '../../../shared/http/bodies.js';
import { exitCodes } from '../../../shared/protocol/kernel/errors.js';
import { crashPointVariable } from '../../../shared/runtime/crash-points.js';
import { eventually, ProcessGroup, type LockstepProcess } from './lockstep-process.js';

/** What an operator is told at night, and what the commands do then, over real processes. */

const testMs = 90_000;

async function copyOf(group: ProcessGroup, slave: LockstepProcess): Promise<SlaveDataSetBody> {
  const status = (await (await fetch(`${await group.url(slave)}/v1/status`)).json()) as StatusBody;
  const copy = status.role === 'slave' ? status.dataSets[0] : undefined;
  if (copy === undefined) throw new Error('no slave answers here');
  return copy;
}

async function becomes(
  group: ProcessGroup,
  slave: LockstepProcess,
  state: string,
  ...others: LockstepProcess[]
): Promise<SlaveDataSetBody> {
  return eventually(
    `a copy that is ${state}`,
    async () => {
      const copy = await copyOf(group, slave);
      return copy.state === state ? copy : undefined;
    },
    30_000,
    () => others.map(({ err }) => err).join('── \n') + slave.err,
  );
}

test(
  'a round in doubt: listed, refused without the flag, decided by resolve, and on record after a restart',
  async () => {
    await using group = await ProcessGroup.start();
    const dying = ['--group', group.group, '--http', '127.0.0.1:0'];
    const master = group.startWith({ [crashPointVariable]: 'master:before-write:decision:2' }, 'master', ...dying);
    const slave = group.slave('a');
    const to = await group.ready(master);
    await group.ready(slave, '?current=true');
    expect((await group.run(['put', 'k', '1', '--to', to])).exitCode).toBe(0);
    expect((await group.run(['put', 'k', '2', '--to', to])).exitCode).toBe(exitCodes.unknown);
    await master.ended;

    const at = ['--to', await group.url(slave)];
    const round = (await copyOf(group, slave)).inDoubt[0]?.round ?? '';
    expect((await group.run(['status', ...at])).out).toMatch(/v2 for \d[\d.]* s \(round \S+, 1 voters\)/);
    const bare = await group.run(['resolve', round, 'commit', ...at]);
    expect(bare).toMatchObject({ exitCode: exitCodes.usage, out: '' });
    expect(bare.err).toMatch(/--i-understand/);
    const word = [...at, '--by', 'ann', '--i-understand'];
    // The master is dead, and heard until its lease is over: so long, the slave rather asks it.
    const resolved = await eventually(
      'the resolution',
      async () => {
        const run = await group.run(['resolve', round, 'commit', ...word]);
        if (run.exitCode === 0) return run;
        expect(run.err).toContain('is heard');
        return undefined;
      },
      20_000,
    );
    expect(resolved.out).toBe(`round ${round} (version 2) is committed at this slave, by ann\n`);
    expect((await group.run(['get', 'k', ...at])).out).toBe('2\n');
    const again = await group.run(['resolve', round, 'abort', ...word]);
    expect(again).toMatchObject({ exitCode: exitCodes.notFound });
    expect(again.err).toContain('is not in doubt at a; no round is');
    expect(slave.err).toContain('resolved by operator');

    slave.signal('SIGKILL');
    await slave.ended;
    const back = group.slave('a');
    expect((await copyOf(group, back)).resolved).toMatchObject([{ round, outcome: 'committed', by: 'ann' }]);

    // The master never decided it: it doesn't lead over a copy that holds more, and says what to do.
    const returned = await group.master().ended;
    expect(returned.exitCode).toBe(exitCodes.refusedToLead);
    expect(returned.err).toMatch(/others hold more: a .*--adopt-from a.*--reset-group/);
  },
  testMs,
);

test(
  'a diverged copy is fenced with its version and both commands; discard keeps it aside and heals it',
  async () => {
    await using group = await ProcessGroup.start();
    const master = group.master();
    const a = group.slave('a');
    const b = group.slave('b');
    const to = await group.ready(master);
    await group.ready(a, '?current=true');
    await group.ready(b, '?current=true');
    expect((await group.run(['put', 'k', '"old"', '--to', to])).exitCode).toBe(0);
    for (const node of [master, a, b]) {
      node.signal('SIGKILL');
      await node.ended;
    }
    // Another original, begun in an empty store while nobody was there.
    // Its second reign is newer than the one that a promised, whichever of two first ones is.
    const first = group.master('--store', './data/other');
    await group.ready(first);
    first.signal('SIGKILL');
    await first.ended;
    const other = group.master('--store', './data/other');
    const newUrl = await group.ready(other);
    expect((await group.run(['put', 'k', '"new"', '--to', newUrl, '--phases', 'one'])).exitCode).toBe(0);
    const diverged = group.slave('a');
    const copy = await becomes(group, diverged, 'diverged', other);
    expect(copy.tip?.version).toBe(1);
    expect(copy.reason).toMatch(/e1 v1, which is not on the master's chain; discard it here.*--adopt-from a/);
    const at = ['--to', await group.url(diverged)];
    expect((await group.run(['get', 'k', ...at])).out).toBe('"old"\n');
    const discarded = await group.run(['discard', ...at]);
    expect(discarded).toMatchObject({ exitCode: 0, err: '' });
    expect(discarded.out).toContain('default at e1 v1 goes aside');
    await becomes(group, diverged, 'current');
    expect((await group.run(['get', 'k', ...at])).out).toBe('"new"\n');
    const kept = await readdir(join(group.folder, 'data', 'a', 'kept'));
    expect(kept).toEqual([expect.stringMatching(/^default-1-.*\.snapshot$/)]);
    const needless = await group.run(['discard', ...at]);
    expect(needless.exitCode).toBe(exitCodes.usage);
    expect(needless.err).toContain('only a diverged copy is discarded');
  },
  testMs,
);

test(
  'an empty master refuses to lead, and leads with --reset-group: the slaves heal, their old copies kept aside',
  async () => {
    await using group = await ProcessGroup.start();
    const master = group.master();
    const a = group.slave('a');
    const to = await group.ready(master);
    await group.ready(a, '?current=true');
    expect((await group.run(['put', 'k', '"old"', '--to', to])).exitCode).toBe(0);
    master.signal('SIGKILL');
    await master.ended;
    const refused = await group.master('--store', './data/empty').ended;
    expect(refused.exitCode).toBe(exitCodes.refusedToLead);
    expect(refused.err).toMatch(/holds nothing, and others hold more: a .*--adopt-from a.*--reset-group/);
    const reset = group.master('--store', './data/empty', '--reset-group');
    const newUrl = await group.ready(reset);
    expect((await group.run(['put', 'k', '"new"', '--to', newUrl, '--phases', 'one'])).exitCode).toBe(0);
    await becomes(group, a, 'current');
    const at = ['--to', await group.url(a)];
    expect((await group.run(['get', 'k', ...at])).out).toBe('"new"\n');
    expect(await readdir(join(group.folder, 'data', 'a', 'kept'))).toHaveLength(1);
  },
  testMs,
);
