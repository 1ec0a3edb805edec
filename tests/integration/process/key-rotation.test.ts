import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { OutcomeBody, StatusBody } from '../../../shared/http/bodies.js';
import { eventually, ProcessGroup, type LockstepProcess } from './lockstep-process.js';

const testMs = 90_000;

function timesIn(node: LockstepProcess, record: string): number {
  return node.err.split('\n').filter((line) => line.includes(record)).length;
}

/** SIGHUP, and then the record in its log that says what became of it. */
async function reloaded(node: LockstepProcess, record: 'keys-changed' | 'keys-refused'): Promise<void> {
  const before = timesIn(node, record);
  node.signal('SIGHUP');
  await eventually(
    record,
    () => (timesIn(node, record) > before ? true : undefined),
    10_000,
    () => node.err,
  );
}

/** A change that both slaves have to vote for commits, and is there at both. */
async function commits(to: string, slaves: readonly string[], key: string): Promise<void> {
  const answer = await fetch(`${to}/v1/changes/default`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ operations: [{ put: [key, 1] }], phases: 'two', voters: 'all' }),
  });
  const body = (await answer.json()) as OutcomeBody;
  expect(body, JSON.stringify(body)).toMatchObject({ outcome: 'committed' });
  for (const url of slaves) {
    await eventually(`${key} at ${url}`, async () =>
      (await fetch(`${url}/v1/data/default/${key}`)).status === 200 ? true : undefined,
    );
  }
}

test(
  'keys are rotated by the command and SIGHUP: a change commits after each step, and a file that is refused changes nothing',
  async () => {
    await using group = await ProcessGroup.start();
    const lockstep = async (...parameters: string[]): Promise<void> => {
      const { exitCode, err } = await group.run(parameters);
      expect(exitCode, err).toBe(0);
    };
    await lockstep('keygen', '--out', 'keys');
    const master = group.master('--keys', 'keys/master.key', '--log-level', 'info');
    const slaves = ['a', 'b'].map((name) =>
      group.slave(name, '--keys', 'keys/slave.key', '--http', '127.0.0.1:0', '--log-level', 'info'),
    );
    const nodes = [...slaves, master];
    const to = await group.ready(master);
    const from = await Promise.all(slaves.map((slave) => group.url(slave)));
    await eventually('two live members', async () => {
      const status = (await (await fetch(`${to}/v1/status`)).json()) as StatusBody;
      const members = status.role === 'master' ? (status.dataSets[0]?.members ?? []) : [];
      return members.filter(({ live }) => live).length === 2 ? true : undefined;
    });
    await commits(to, from, 'before');

    const keyFile = { master: join(group.folder, 'keys/master.key'), slave: join(group.folder, 'keys/slave.key') };
    await copyFile(keyFile.slave, join(group.folder, 'old.key'));
    for (const step of ['add', 'switch', 'retire']) {
      await lockstep('key', 'rotate', '--in', 'keys', '--step', step);
      for (const [index, node] of nodes.entries()) {
        await reloaded(node, 'keys-changed');
        await commits(to, from, `${step}-${index}`);
      }
    }
    for (const node of nodes) expect(node.err).toContain('2 (current)');

    // Each kind of node gets a file that it can't use, and goes on with the keys that it has.
    await writeFile(keyFile.slave, 'no keys at all');
    await copyFile(join(group.folder, 'old.key'), keyFile.master); // a slave's
    for (const node of nodes) {
      await reloaded(node, 'keys-refused');
      expect(node.running).toBe(true);
    }
    await commits(to, from, 'after-refused');

    // The retired key opens nothing: its holder is there while a change goes out, and hears no master.
    const late = group.slave('late', '--keys', 'old.key', '--http', '127.0.0.1:0', '--log-level', 'info');
    const url = await group.url(late);
    await commits(to, from, 'unheard');
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    expect(late.err).not.toContain('master heard');
  },
  testMs,
);
