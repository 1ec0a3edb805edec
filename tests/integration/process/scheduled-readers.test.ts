import { expect, test } from 'vitest';
import type { ErrorBody, MasterDataSetBody, OutcomeBody, StatusBody } from '../../../shared/http/bodies.js';
import { ContentReader } from '../../support/content-reader.js';
import { eventually, ProcessGroup, type LockstepProcess } from './lockstep-process.js';

/** A master and three slaves, real processes on loopback, whose machines call the time differently. */

const testMs = 180_000;
const keys = 300;
const names = ['a', 'b', 'c'] as const;
const zones = { a: 'Pacific/Kiritimati', b: 'Pacific/Niue', c: 'Asia/Kathmandu' };

async function dataSetAt(url: string): Promise<MasterDataSetBody> {
  const status = (await (await fetch(`${url}/v1/status`)).json()) as StatusBody;
  if (status.role !== 'master' || status.dataSets[0] === undefined)
    throw new Error(`no master: ${JSON.stringify(status)}`);
  return status.dataSets[0];
}

async function post<Body>(url: string, body: object): Promise<{ readonly status: number; readonly body: Body }> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: answer.status, body: (await answer.json()) as Body };
}

test(
  'readers under load see one version or the other, never a mixture, and of a node that is stopped across the instant never the old one as current',
  async () => {
    await using group = await ProcessGroup.start();
    const master = group.master('--lease', '1s', '--log-level', 'info');
    const slaves = {} as Record<(typeof names)[number], LockstepProcess>;
    const urls = {} as Record<(typeof names)[number], string>;
    const to = await group.url(master);
    for (const name of names) {
      const flags = ['--name', name, '--group', group.group, '--http', '127.0.0.1:0', '--log-level', 'info'];
      slaves[name] = group.startWith({ TZ: zones[name] }, 'slave', ...flags);
      urls[name] = await group.url(slaves[name]);
    }
    await group.ready(master);
    for (const name of names) await group.ready(slaves[name], '?current');
    /** Every key gets the same value, in one change: two values in one answer are a mixture. */
    const change = async (value: number, at: object): Promise<OutcomeBody> => {
      const operations = Array.from({ length: keys }, (_, key) => ({ put: [`k${key}`, value] }));
      return (
        await post<OutcomeBody>(`${to}/v1/changes/default`, { operations, voters: 'all', timeoutMs: 20_000, ...at })
      ).body;
    };
    expect(await change(1, { wait: 'exposed' })).toMatchObject({ outcome: 'committed', version: 1 });
    const valueOf = new Map<number, unknown>();
    const reading = [...names.flatMap((name) => [() => urls[name], () => urls[name]]), () => to];
    const readers = reading.map((url) => new ContentReader({ url, keys, valueOf }));
    const shownEverywhere = (version: number): Promise<true> =>
      eventually(
        `version ${version} everywhere`,
        () => readers.every(({ last }) => last?.version === version && last.current) || undefined,
      );

    for (const version of [2, 3]) {
      const armed = await change(version, { activateAt: ahead });
      expect(armed).toMatchObject({ outcome: 'armed', version, arming: { of: 3 } });
      await shownEverywhere(version);
      const activation = await eventually('three reports', async () => {
        const found = (await dataSetAt(to)).activation;
        return found?.version === version && found.exposed === 3 ? found : undefined;
      });
      // The skew that was reached is told each time, with what it can't exceed.
      expect(activation.spreadMs, JSON.stringify(activation)).not.toBeNull();
      expect(activation.boundMs ?? 0, JSON.stringify(activation)).toBeGreaterThanOrEqual(
        activation.spreadMs ?? Infinity,
      );
    }

    /** Stops it across the instant, for less than a lease, as a debugger or a busy machine does it. */
    const stopAcross = async (
      node: LockstepProcess,
      { version, at }: { readonly version: number; readonly at: readonly ContentReader[] },
    ): Promise<void> => {
      expect(await change(version, { activateAt: ahead })).toMatchObject({ outcome: 'armed', version });
      await eventually('shortly before the instant', async () => {
        const { armed } = await dataSetAt(to);
        return armed !== null && armed.inMs > 100 && armed.inMs < 300 ? true : undefined;
      });
      await Promise.all(at.map((reader) => reader.hold()));
      node.signal('SIGSTOP');
      // Who asks from now on is answered when it goes on, before it hears or does anything else.
      const places = at.map((reader) => reader.goOn());
      const others = readers.filter((reader) => !at.includes(reader));
      await eventually('the others show it', () => others.every((each) => each.last?.version === version) || undefined);
      const pastMs = performance.now() + lateMs;
      await eventually('what is shown from now on is shown late', () => performance.now() > pastMs || undefined);
      node.signal('SIGCONT');
      await shownEverywhere(version);
      expect(at.flatMap((reader, index) => reader.staleFrom(places[index] ?? 0, version))).toEqual([]);
      await eventually('it says that it was late', () => node.err.includes('activated late') || undefined);
    };
    await stopAcross(slaves.c, { version: 4, at: readers.slice(4, 6) });
    // The slaves switch without the master, too.
    await stopAcross(master, { version: 5, at: readers.slice(6) });

    expect(Math.min(...readers.map(({ seen }) => seen.length))).toBeGreaterThan(50);
    await Promise.all(readers.map((reader) => reader.stop()));
    expect(readers.flatMap(({ problems }) => problems)).toEqual([]);
    expect([...valueOf]).toEqual([1, 2, 3, 4, 5].map((each) => [each, each]));
  },
  testMs,
);

/** Far enough for a machine with much other work; whoever isn't armed by then is not current, and that has to hold, too. */
const ahead = '+4s';
/** More than the clock error that may be: what a node shows so long after the instant, it shows late. */
const lateMs = 100;

test(
  'an instant that cannot be is refused over HTTP and by the command, with the earliest that can',
  async () => {
    await using group = await ProcessGroup.start();
    const master = group.master('--lease', '1s');
    const to = await group.ready(master);
    const operations = [{ put: ['k', 1] }];
    const days = (count: number): string => new Date(Date.now() + count * 86_400_000).toISOString();
    const changes = `${to}/v1/changes/default`;
    for (const [activateAt, code, why] of [
      [days(-1), 'instant-too-early', 'has passed'],
      ['+500ms', 'instant-too-early', 'is nearer than the group can arm'],
      [days(367), 'instant-too-late', 'is more than 366 days ahead'],
    ] as const) {
      const askedMs = Date.now();
      const { status, body } = await post<ErrorBody>(changes, { operations, activateAt });
      expect([status, body.error.code]).toEqual([400, code]);
      expect(body.error.message).toContain(why);
      const earliestAt = body.error.earliestAt ?? '';
      expect(body.error.message).toContain(`the earliest possible instant is ${earliestAt}`);
      expect(Date.parse(earliestAt)).toBeGreaterThan(askedMs + 1000);
      const command = await group.run(['put', 'k', '1', '--at', activateAt, '--to', to]);
      expect([command.exitCode, command.out]).toEqual([2, '']);
      expect(command.err).toMatch(/^lockstep: \S+ .*; .*the earliest possible instant is \S+Z, \d+ ms from now\n$/);
    }
    expect((await dataSetAt(to)).tip, 'nothing was changed').toBeNull();
    const { body } = await post<ErrorBody>(changes, { operations, activateAt: days(-1) });
    const possible = new Date(Date.parse(body.error.earliestAt ?? '') + 1000).toISOString();
    expect((await post<OutcomeBody>(changes, { operations, activateAt: possible })).body).toMatchObject({
      outcome: 'armed',
      activateAt: possible,
    });
  },
  testMs,
);
