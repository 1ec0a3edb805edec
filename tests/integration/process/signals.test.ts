import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import type { OutcomeBody, StatusBody } from '../../../shared/http/bodies.js';
import { eventually, ProcessGroup } from './lockstep-process.js';

/** What a process does with the two signals that ask it to end. */

const testMs = 60_000;

async function statusOf(url: string): Promise<StatusBody> {
  return (await (await fetch(`${url}/v1/status`)).json()) as StatusBody;
}

async function liveMembers(url: string): Promise<number> {
  const status = await statusOf(url);
  return status.role === 'master' ? (status.dataSets[0]?.members.filter(({ live }) => live).length ?? 0) : 0;
}

test(
  'SIGTERM with an open round: the caller gets a definite outcome, the slaves a goodbye, and the exit code is 0',
  async () => {
    await using group = await ProcessGroup.start();
    const master = group.master('--timeout', '30s', '--lease', '5s', '--log-level', 'info');
    const heard = group.slave('a', '--log-level', 'info');
    const silent = group.slave('b');
    const to = await group.ready(master);
    await eventually('two live members', async () => ((await liveMembers(to)) === 2 ? true : undefined));
    silent.signal('SIGSTOP'); // a voter that says nothing: the round stays open
    const change = fetch(`${to}/v1/data/default/k`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: '1',
    });
    await eventually('the open round', async () => {
      const status = await statusOf(to);
      const open = status.role === 'master' ? status.dataSets[0]?.openRounds[0] : undefined;
      return open?.missing.length === 1 ? true : undefined;
    });
    master.signal('SIGTERM');
    const outcome = (await (await change).json()) as OutcomeBody;
    expect(outcome, JSON.stringify(outcome) + master.err).toMatchObject({ outcome: 'aborted' });
    expect((await master.ended).exitCode, master.err).toBe(0);
    await eventually(
      'the goodbye at a',
      () => (heard.err.includes('master left') ? true : undefined),
      5000,
      () => heard.err,
    );
    const read = await fetch(`${await group.url(heard)}/v1/data/default/k`);
    expect(read.status).toBe(404);
    silent.signal('SIGCONT');
    heard.signal('SIGTERM');
    expect((await heard.ended).exitCode, heard.err).toBe(0);
  },
  testMs,
);

test(
  'a second signal ends the process at once, with 130',
  async () => {
    await using group = await ProcessGroup.start();
    const slave = group.slave('a', '--log-level', 'info');
    const url = new URL(await group.url(slave));
    // A client in the middle of its request keeps the first stop waiting for a while.
    const client = connect(Number(url.port), url.hostname);
    await once(client, 'connect');
    client.on('error', () => undefined);
    client.write('GET /v1/status HTTP/1.1\r\n');
    slave.signal('SIGTERM');
    await eventually(
      'the first signal was taken',
      () => (slave.err.includes('stopping') ? true : undefined),
      10_000,
      () => slave.err,
    );
    slave.signal('SIGTERM');
    expect((await slave.ended).exitCode, slave.err).toBe(130);
    client.destroy();
  },
  testMs,
);
