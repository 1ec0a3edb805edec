import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addMasterRoutes } from '../master/http/api.js';
import type { RoundsBody, StatusBody } from '../shared/http/bodies.js';
import { createServer, listen } from '../shared/http/server.js';
import {
  FakeOriginal,
  memberView,
  nodeId,
  RecordingLog,
  roundAccount,
} from '../tests/integration/process/http-fakes.js';
import { runLockstep, type CommandRun } from '../tests/support/run-lockstep.js';
import type { Shell } from './shell.js';
import { ageText } from './status-text.js';

/** What the commands that look at a group show: status, history, and the end of a round. */

let server: FastifyInstance;
let original: FakeOriginal;
let url: string;

beforeEach(async () => {
  original = new FakeOriginal();
  server = createServer(new RecordingLog());
  addMasterRoutes(server, { node: 'master', dataSets: new Map([['prices', original]]), whyNotLeading: () => null });
  url = await listen(server, { host: '127.0.0.1', port: 0 });
});

afterEach(async () => {
  await server.close();
});

async function lockstep(parameters: readonly string[], shell: Partial<Shell> = {}): Promise<CommandRun> {
  return runLockstep([...parameters, '--to', url], shell);
}

describe('status', () => {
  test('tells versions and time behind, doubt with its age, resyncs by cause, and the newest veto', async () => {
    original.version = 9;
    const atMs = new Date(2020, 0, 2, 3, 4, 5).getTime() - performance.timeOrigin;
    original.view = {
      ...original.view,
      members: [
        memberView('a', { behind: 3, behindMs: 1234, resyncs: { new: 1, gap: 2 } }),
        memberView('b', {
          inDoubt: 2,
          oldestInDoubtMs: 185_000,
          lastVeto: { version: 8, reason: `put k: ${'too cheap '.repeat(9)}`, atMs },
          resyncs: {},
        }),
      ],
    };
    const lines = (await lockstep(['status'])).out.split('\n');
    expect(lines[0]).toBe(
      'node    role    state    version  behind       last vote  in doubt     resyncs       last veto',
    );
    expect(lines[2]).toBe('a       slave   current  e3 v1    3 for 1.2 s  yes        –            1 new, 2 gap  –');
    expect(lines[3]).toBe(
      'b       slave   current  e3 v1    0            yes        2 for 3 min  –             v8 at 2020-01-02 03:04:05: put k: too cheap too cheap too cheap too cheap …',
    );
  });

  test.each([
    [0, '0 s'],
    [40, '0 s'],
    [450, '0.5 s'],
    [9940, '9.9 s'],
    [9960, '10 s'],
    [119_000, '119 s'],
    [120_000, '2 min'],
    [7_200_000, '2 h'],
  ])('%d ms are %s', (ageMs, text) => {
    expect(ageText(ageMs)).toBe(text);
  });

  test('--watch redraws in place, cuts what has no place with the trouble on top, and leaves the screen as it was', async () => {
    original.version = 1;
    const others = Array.from({ length: 40 }, (_, index) => memberView(`s${index}`));
    original.view = { ...original.view, members: [...others, memberView('broken', { state: 'failed' })] };
    const stop = new AbortController();
    const written: string[] = [];
    const terminal = {
      columns: 70,
      rows: 10,
      write: (text: string): void => {
        written.push(text);
        if (written.length === 4) stop.abort();
      },
    };
    const run = await lockstep(['status', '--watch', '--every', '1ms'], { terminal, stopSignal: () => stop.signal });
    expect([run.exitCode, run.out]).toEqual([0, '']);
    expect([written[0], written.at(-1)]).toEqual(['\u001b[?1049h\u001b[?25l', '\u001b[?25h\u001b[?1049l']);
    const screen = (written[2] ?? '').replace('\u001b[H', '').replace('\u001b[J', '').split('\r\n');
    expect(screen).toHaveLength(10);
    expect(screen[4]).toMatch(/^broken +slave +failed/);
    expect(screen.join('\n')).toContain('… and 37 more, all current, with nothing in doubt');
    for (const line of screen) expect([...line.replaceAll('\u001b[K', '')].length).toBeLessThanOrEqual(70);
  });

  test('--watch --json is a line each time, also when the node is away meanwhile', async () => {
    const stop = new AbortController();
    const lines: string[] = [];
    const run = await lockstep(['status', '--watch', '--json', '--every', '1ms'], {
      stopSignal: () => stop.signal,
      out: (text) => {
        lines.push(text);
        if (lines.length === 1) void server.close();
        if (text.includes('"error"')) stop.abort();
      },
    });
    expect(run.exitCode).toBe(0);
    expect((JSON.parse(lines[0] ?? '') as StatusBody).node).toBe('master');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
      error: { code: expect.stringMatching(/unreachable|closed/) as string },
    });
  });

  test('--watch of a node that was never there is an error', async () => {
    await server.close();
    expect((await lockstep(['status', '--watch'])).exitCode).toBe(17);
  });
});

describe('history', () => {
  test('is a table of the newest rounds, with vetoes and who was silent', async () => {
    const yes = { node: nodeId('a'), yes: true, reason: '', afterMs: 0.5 };
    const no = { node: nodeId('b'), yes: false, reason: 'put k: too cheap\nput l: too dear', afterMs: 0.7 };
    const none = { exposedMs: null, decidedMs: null };
    const [b, c] = [nodeId('b'), nodeId('c')];
    original.rounds = [
      roundAccount(6, { outcome: 'open', votes: [yes], missing: [b, c], ...none }),
      roundAccount(5, { outcome: 'aborted', reason: 'refused', votes: [yes, no], exposedMs: null }),
      roundAccount(4, {
        outcome: 'aborted',
        reason: 'timeout',
        votes: [],
        missing: [b, c],
        decidedMs: 2001.4,
        exposedMs: null,
      }),
      roundAccount(3, { outcome: 'aborted', reason: 'rolled back', votes: [yes], missing: [b], exposedMs: null }),
      roundAccount(2, { phases: 'one', votes: [], exposedMs: null, operations: null, round: '3.cccccccc.v2' }),
      roundAccount(1),
    ];
    const rows = (await lockstep(['history'])).out
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/2026-11-21 \d\d:\d\d:\d\d|\b\d\d:\d\d:\d\d/, 'at').split(/ {2,}/));
    expect(rows).toEqual([
      ['version', 'started', 'outcome', 'votes', 'decided', 'shown', 'keys', 'round', 'why'],
      ['v6', 'at', 'open', '1/3 yes', '–', '–', '1', '3.cccccccc.6', 'waits: no answer from b, c'],
      ['v5', 'at', 'aborted', '1/2 yes', '1.24 ms', '–', '1', '3.cccccccc.5', 'b: put k: too cheap; put l: too dear'],
      ['v4', 'at', 'aborted', '0/2 yes', '2001 ms', '–', '1', '3.cccccccc.4', 'timeout: no answer from b, c'],
      ['v3', 'at', 'aborted', '1/2 yes', '1.24 ms', '–', '1', '3.cccccccc.3', 'rolled back'],
      ['v2', 'at', 'committed', 'one phase', '1.24 ms', '–', '–', '3.cccccccc.v2'],
      ['v1', 'at', 'committed', '1/1 yes', '1.24 ms', '2.5 ms', '1', '3.cccccccc.1'],
    ]);
    const json = JSON.parse((await lockstep(['history', '--limit', '2', '--json'])).out) as RoundsBody;
    expect(json.rounds.map(({ version }) => version)).toEqual([6, 5]);
  });

  test('of a master that has just started is empty, and says so', async () => {
    expect((await lockstep(['history'])).out).toBe('no round since this master started\n');
  });
});

describe('roll-back', () => {
  beforeEach(() => {
    original.rounds = [
      roundAccount(9, { outcome: 'open', decidedMs: null, exposedMs: null }),
      roundAccount(8),
      roundAccount(7, { outcome: 'aborted', reason: 'refused' }),
    ];
  });

  test.each(['9', 'v9', '3.cccccccc.9'])('takes %s', async (round) => {
    expect(await lockstep(['roll-back', round])).toEqual({
      exitCode: 0,
      out: 'version 9 is rolled back; nobody shows it\n',
      err: '',
    });
    expect(original.rolledBack).toEqual([9]);
    expect(JSON.parse((await lockstep(['roll-back', round, '--json'])).out)).toEqual({
      dataSet: 'prices',
      rolledBack: 9,
    });
  });

  test.each([
    ['8', 2, /^lockstep: version 8 is committed and can't be rolled back; put what should be there instead/],
    ['7', 2, /^lockstep: version 7 was aborted already \(refused\); there is nothing to roll back/],
    ['10', 5, /^lockstep: no replication of version 10 is under way/],
    ['3.cccccccc.77', 5, /knows no round 3.cccccccc.77 of prices; lockstep history lists them/],
    ['newest', 2, /'newest' is invalid .* Give a version, such as 42/],
  ])('of %s exits with %d', async (round, exitCode, message) => {
    const run = await lockstep(['roll-back', round]);
    expect([run.exitCode, run.out]).toEqual([exitCode, '']);
    expect(run.err).toMatch(message);
    expect(original.rolledBack).toEqual([]);
  });
});
