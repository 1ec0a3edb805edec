import { createServer } from 'node:net';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exitCodes } from '../../../shared/protocol/kernel/errors.js';
import type { StatusBody } from '../../../shared/http/bodies.js';
import { freePort } from './loopback.js';
import { eventually, ProcessGroup, type Ended } from './lockstep-process.js';

/** Real processes on loopback multicast, through the command that a user types. */

const testMs = 60_000;

const positiveCents = `export function validate(operation) {
  return 'put' in operation && operation.put[1].cents <= 0 ? 'cents must be positive' : true;
}
`;

function expectOneLine(ended: Ended, exitCode: number, text: RegExp): void {
  const complaints = ended.err.split('\n').filter((line) => line.startsWith('lockstep: '));
  expect(complaints, ended.err).toHaveLength(1);
  expect(complaints[0]).toMatch(text);
  expect(ended.err).not.toMatch(/^\s+at /m);
  expect(ended.exitCode, ended.err).toBe(exitCode);
}

async function statusOf(url: string): Promise<StatusBody> {
  return (await (await fetch(`${url}/v1/status`)).json()) as StatusBody;
}

/** Until both slaves are live members: else a round would go without them. */
async function membersLive(url: string, count: number): Promise<void> {
  await eventually(`${count} live members`, async () => {
    const status = await statusOf(url);
    const members = status.role === 'master' ? (status.dataSets[0]?.members ?? []) : [];
    return members.filter((member) => member.live && member.state === 'current').length === count ? true : undefined;
  });
}

describe('a master and two slaves', () => {
  test(
    'put, get, veto, load, status, and a clean end',
    async () => {
      await using group = await ProcessGroup.start();
      const rules = join(group.folder, 'rules.mjs');
      await writeFile(rules, positiveCents);
      const master = group.master();
      const a = group.slave('a');
      const b = group.slave('b', '--validate', rules);
      const [to, urlA, urlB] = await Promise.all([group.ready(master), group.url(a), group.url(b)]);
      await membersLive(to, 2);
      const lockstep = (...parameters: string[]): Promise<Ended> => group.run([...parameters, '--to', to]);

      const put = await lockstep('put', 'sku-1', '{"cents": 999}');
      expect(put).toMatchObject({
        exitCode: 0,
        err: '',
        out: expect.stringMatching(/^committed · version 1 at 2\/2 · /) as string,
      });
      const version = 1;
      for (const url of [to, urlA, urlB]) {
        const read = await fetch(
          `${url}/v1/data/default/sku-1?${url === to ? '' : `minVersion=${version}&timeoutMs=5000`}`,
        );
        expect(await read.json()).toEqual({ key: 'sku-1', value: { cents: 999 }, version });
        expect(read.headers.get('lockstep-version')).toBe(String(version));
      }

      const veto = await lockstep('put', 'sku-1', '{"cents": -5}');
      expect(veto).toEqual({
        exitCode: exitCodes.aborted,
        out: 'aborted: b refused put sku-1: cents must be positive\n',
        err: '',
      });
      expect((await lockstep('get', 'sku-1')).out).toBe('{"cents":999}\n');
      expect(await (await fetch(`${urlA}/v1/data/default/sku-1`)).json()).toMatchObject({ value: { cents: 999 } });

      const products = Array.from({ length: 1500 }, (_, index) =>
        JSON.stringify({ sku: `p-${index}`, cents: index + 1 }),
      ).join('\n');
      const load = await group.run(['load', '-', '--to', to], products);
      expect(load).toMatchObject({
        exitCode: 0,
        err: '',
        out: expect.stringMatching(/^ 1500 records · version \d+ · committed at 2\/2 · \d+ ms\n$/) as string,
      });

      const write = await group.run(['put', 'k', '1', '--to', urlA]);
      expectOneLine(write, exitCodes.usage, /a is a slave and takes no changes; send them to its master, master/);

      const digests = await eventually('equal copies', async () => {
        const all = await Promise.all([to, urlA, urlB].map(statusOf));
        const seen = all.map((status) => [
          status.dataSets[0]?.tip?.chainId,
          status.dataSets[0]?.stateDigest,
          status.dataSets[0]?.entries,
        ]);
        return new Set(seen.map((each) => JSON.stringify(each))).size === 1 ? seen[0] : undefined;
      });
      expect(digests?.[2]).toBe(1501);

      const status = await lockstep('status');
      const rows = status.out.trimEnd().split('\n');
      expect(rows[0]).toMatch(/^node +role +state +version +behind +last vote +in doubt +resyncs +last veto$/);
      expect(rows[1]).toMatch(/^master +master +leading +e\d+ v\d+ /);
      expect(rows.slice(2).sort()).toEqual([
        expect.stringMatching(/^a +slave +current +e\d+ v\d+ +0 /),
        expect.stringMatching(/^b +slave +current +e\d+ v\d+ +0 .* v2 at .*: put sku-1: cents must be positive$/),
      ]);

      const history = (await lockstep('history')).out.trimEnd().split('\n');
      expect(history.at(-1)).toMatch(/^v1 +\S+ +committed +2\/2 yes /);
      expect(history.at(-2)).toMatch(/^v2 +\S+ +aborted .* b: put sku-1: cents must be positive$/);
      expectOneLine(await lockstep('roll-back', '2'), exitCodes.usage, /version 2 was aborted already \(refused\)/);

      const kept = join(group.folder, 'kept.ndjson');
      expect((await lockstep('export', kept)).out).toMatch(/^ 1501 records · version \d+ · /);
      expect((await readFile(kept, 'utf8')).split('\n')).toHaveLength(1502);
      expect((await lockstep('diff', '--with', urlB)).out).toMatch(/^ no difference · 1501 records · /);
      // Of the veto nothing was committed: what the feed and the versions have is the one put.
      const change = JSON.parse(
        (await group.run(['watch', '--since', '0', '--count', '1', '--to', urlA])).out,
      ) as unknown;
      expect(change).toMatchObject({ version: 1, operations: [{ put: ['sku-1', { cents: 999 }] }] });
      expect(await lockstep('diff', '--from', '0', '--until', '1')).toMatchObject({
        exitCode: exitCodes.different,
        out: '* sku-1  {"cents":999}  (v1)\n 1 key differs · versions 0 to 1\n',
      });

      // What the processes print on standard output is their one line of addresses.
      for (const node of [master, a, b]) expect(node.out.trimEnd().split('\n')).toHaveLength(1);
      for (const node of [a, b, master]) {
        node.signal('SIGTERM');
        expect((await node.ended).exitCode, node.err).toBe(0);
      }
    },
    testMs,
  );

  test(
    'the same by unicast, with --peers and no multicast',
    async () => {
      await using group = await ProcessGroup.start();
      const [masterPort, slavePort] = [await freePort(), await freePort()];
      const master = group.master('--port', String(masterPort), '--peers', `127.0.0.1:${slavePort}`);
      const slave = group.slave('a', '--port', String(slavePort), '--peers', `127.0.0.1:${masterPort}`);
      const to = await group.ready(master);
      await membersLive(to, 1);
      expect((await group.run(['put', 'k', '[1]', '--to', to])).out).toMatch(/^committed · version 1 at 1\/1 · /);
      const read = await fetch(`${await group.url(slave)}/v1/data/default/k?minVersion=1&timeoutMs=5000`);
      expect(await read.json()).toEqual({ key: 'k', value: [1], version: 1 });
      master.signal('SIGKILL');
      await master.ended;
      const again = group.master('--port', String(masterPort), '--peers', `127.0.0.1:${slavePort}`);
      const back = await group.ready(again);
      expect((await group.run(['get', 'k', '--to', back])).out).toBe('[1]\n');
    },
    testMs,
  );

  test(
    'one slave of a name: the second is refused, the first goes on, a restart is welcome',
    async () => {
      await using group = await ProcessGroup.start();
      const master = group.master();
      const first = group.slave('a');
      const to = await group.ready(master);
      await membersLive(to, 1);
      const second = group.slave('a', '--store', './data/other');
      expectOneLine(await second.ended, exitCodes.nameTaken, /^lockstep: a leaves default: /);
      expect((await group.run(['put', 'k', '1', '--to', to])).out).toMatch(/^committed · version 1 at 1\/1/);
      first.signal('SIGKILL');
      await first.ended;
      const again = group.slave('a');
      await group.ready(again, '?current=true');
      expect((await group.run(['put', 'k', '2', '--to', to])).out).toMatch(/^committed · version 2 at 1\/1/);
    },
    testMs,
  );

  test(
    'a second master is refused; with --take-over the first steps down and nothing is lost',
    async () => {
      await using group = await ProcessGroup.start();
      const master = group.master();
      const slave = group.slave('a');
      const to = await group.ready(master);
      await membersLive(to, 1);
      expect((await group.run(['put', 'k', '"before"', '--to', to])).exitCode).toBe(0);
      const second = group.master('--name', 'second', '--store', './data/second');
      expectOneLine(await second.ended, exitCodes.refusedToLead, /^lockstep: second does not lead default: /);
      expect((await group.run(['put', 'k', '"still"', '--to', to])).exitCode).toBe(0);
      const third = group.master('--name', 'third', '--store', './data/third', '--take-over', '--adopt-from', 'a');
      expectOneLine(await master.ended, exitCodes.steppedDown, /^lockstep: master stepped down from default: /);
      const newUrl = await group.ready(third);
      expect((await group.run(['get', 'k', '--to', newUrl])).out).toBe('"still"\n');
      await membersLive(newUrl, 1);
      expect((await group.run(['put', 'k', '"after"', '--to', newUrl])).exitCode).toBe(0);
      expect(slave.running).toBe(true);
    },
    testMs,
  );
});

describe('what keeps a node from starting is one line and a numbered exit', () => {
  test(
    'a taken port',
    async () => {
      await using group = await ProcessGroup.start();
      const taken = createServer().listen(0, '127.0.0.1');
      await once(taken, 'listening');
      const address = taken.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const ended = await group.start('master', '--group', group.group, '--http', `127.0.0.1:${port}`).ended;
      taken.close();
      expectOneLine(ended, exitCodes.addressInUse, new RegExp(`--http 127.0.0.1:${port} is in use`));
      expect(await readdir(group.folder)).toEqual([]);
    },
    testMs,
  );

  test(
    'a store that can not be written',
    async () => {
      await using group = await ProcessGroup.start();
      await writeFile(join(group.folder, 'file'), '');
      expectOneLine(await group.master('--store', './file/store').ended, exitCodes.storeUnusable, /store/);
      expectOneLine(await group.slave('a', '--store', './file').ended, exitCodes.storeUnusable, /store/);
    },
    testMs,
  );

  test(
    'a store of another data set, and of another node',
    async () => {
      await using group = await ProcessGroup.start();
      const slave = group.slave('a', '--data-set', 'prices');
      await group.url(slave);
      slave.signal('SIGINT');
      expect((await slave.ended).exitCode).toBe(0);
      expectOneLine(
        await group.slave('a', '--data-set', 'routes').ended,
        exitCodes.storeFormat,
        /--store \.\/data\/a holds the data set prices, not routes; .*nothing was touched/,
      );
      expectOneLine(
        await group.slave('b', '--data-set', 'prices', '--store', './data/a').ended,
        exitCodes.storeFormat,
        /'a'.*'b'/,
      );
    },
    testMs,
  );

  test(
    'an unknown flag, in a process of its own',
    async () => {
      await using group = await ProcessGroup.start();
      expect(await group.start('master', '--dataset', 'x').ended).toEqual({
        exitCode: exitCodes.usage,
        out: '',
        err: "lockstep: unknown option '--dataset' (Did you mean --data-set?); --help says what there is\n",
      });
    },
    testMs,
  );

  test(
    'a slave that hears nobody says so, with the likely reasons, and goes on',
    async () => {
      await using group = await ProcessGroup.start();
      const slave = group.slave('a');
      await eventually('the line about silence', () =>
        slave.err.includes('a hears no master for default in group') ? true : undefined,
      );
      expect(slave.err).toMatch(/--group, --interface and --data-set.*multicast.*--peers.*firewall/);
      expect(slave.running).toBe(true);
      slave.signal('SIGTERM');
      expect((await slave.ended).exitCode).toBe(0);
    },
    testMs,
  );
});
