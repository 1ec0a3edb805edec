import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { play } from './player/play.js';
import { optionKeys, readScenario, scenarioKeys, stepNames } from './player/read.js';
import { expectationKeys } from './player/read-expectation.js';
import { replayFile } from './player/replay.js';
import { moments } from './player/scenario.js';
import { SimulatedStage } from './player/simulated/stage.js';

const folder = fileURLToPath(new URL('.', import.meta.url));
const script = fileURLToPath(new URL('../../../scripts/replay.ts', import.meta.url));
const files = (await readdir(folder)).filter((name) => name.endsWith('.yaml')).sort();

/** A few with real processes; `npm run replay -- --real FILE.yaml` plays any other that can be. */
const realFiles = [
  'decision-durable-then-killed.yaml',
  'lost-abort-then-older-prior.yaml',
  'restart-and-second-slave.yaml',
];
const realMs = 120_000;

async function lines(
  file: string,
  options: { readonly real?: boolean } = {},
): Promise<{ readonly result: string; readonly told: string }> {
  const told: string[] = [];
  const { result } = await replayFile(file, { ...options, tell: (line) => told.push(line) });
  return { result, told: told.join('\n') };
}

describe('in simulation', () => {
  test.each(files)('%s', async (name) => {
    const { result, told } = await lines(join(folder, name));
    expect(result, told).toBe('passed');
  });

  test('each trap has a scenario', async () => {
    const shown = new Set<string>();
    for (const name of files) {
      const { shows } = readScenario(name, await readFile(join(folder, name), 'utf8'));
      for (const row of shows) shown.add(row);
    }
    const traps = Array.from({ length: 15 }, (_, index) => `T${index + 1}`);
    expect(traps.filter((trap) => !shown.has(trap))).toEqual([]);
  });
});

describe('with real processes', () => {
  test.each(realFiles)('%s', { timeout: realMs }, async (name) => {
    const { result, told } = await lines(join(folder, name), { real: true });
    expect(result, told).toBe('passed');
  });

  test('a scenario that says why it needs the simulation is skipped, and says so', async () => {
    const { result, told } = await lines(join(folder, 'decision-write-fails.yaml'), { real: true });
    expect(result).toBe('skipped');
    expect(told).toContain("a real disk can't be made to fail");
  });
});

describe('docs/scenarios.md', () => {
  test('its example plays, and it mentions every key', async () => {
    const page = await readFile(fileURLToPath(new URL('../../../docs/scenarios.md', import.meta.url)), 'utf8');
    const example = /```yaml\n([^]*?)```/.exec(page)?.[1] ?? '';
    const scenario = readScenario('docs/scenarios.md', example);
    await using stage = new SimulatedStage(scenario, { seed: 1 });
    expect(await play(scenario, stage)).toMatchObject({ result: 'passed' });
    const words = [...stepNames, ...scenarioKeys, ...expectationKeys, ...moments, ...optionKeys];
    expect(words.filter((word) => !page.includes(word))).toEqual([]);
  });
});

describe('the replayer', () => {
  let temporary = '';
  beforeAll(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'lockstep-replay-'));
  });
  afterAll(async () => {
    await rm(temporary, { recursive: true, force: true });
  });

  async function written(name: string, steps: readonly string[]): Promise<string> {
    const file = join(temporary, name);
    await writeFile(
      file,
      ['title: A test of the replayer', 'slaves: 1', 'steps:', ...steps.map((step) => `  - ${step}`)].join('\n'),
    );
    return file;
  }

  function replay(...parameters: readonly string[]): {
    readonly status: number | null;
    readonly out: string;
    readonly err: string;
  } {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), script, ...parameters],
      { encoding: 'utf8', timeout: 25_000 },
    );
    return { status, out: stdout, err: stderr };
  }

  test('ends with 1 at the first expectation that fails, shows it with ✗, and says how to see more', async () => {
    const file = await written('wrong.yaml', [
      'start: all',
      'ready: all',
      'put: { key: a, value: 1 }',
      'expect: { nodes: s1, values: { a: 2 }, within: 500ms }',
      'wait: 1s',
    ]);
    const { status, out } = replay(file);
    expect(status, out).toBe(1);
    const shown = out.trimEnd().split('\n').slice(1);
    expect(shown.map((line) => line.slice(0, 1)).join('')).toBe('✓✓✓✗F');
    expect(shown[3]).toContain('s1: a is 1');
    expect(shown[4]).toContain(`npm run replay -- ${file} --seed 1 --trace`);
  });

  test('ends with 2 at a step that real processes have no means for', async () => {
    const file = await written('impossible.yaml', ['disk: { node: master, fails: next write }']);
    const { status, out } = replay('--real', file);
    expect(status, out).toBe(2);
    expect(out).toContain("can't be made to fail");
  });

  test('ends with 2 at a file that is none, with one line', async () => {
    const file = await written('typo.yaml', ['strat: all']);
    const { status, out, err } = replay(file);
    expect(status, out).toBe(2);
    expect(err.trim()).toBe(`${file}:4: a step knows no 'strat'; did you mean 'start'?`);
  });

  test('prints one line of JSON for each file', async () => {
    const file = await written('fine.yaml', ['start: all', 'ready: all']);
    const { status, out } = replay('--json', file);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      file,
      result: 'passed',
      stage: 'simulation',
      seeds: [1],
      steps: [
        { line: 4, ok: true },
        { line: 5, ok: true },
        { line: null, ok: true },
      ],
    });
  });

  test('the same file and seed give the same run, step by step', async () => {
    const steps = [
      'start: all',
      'ready: all',
      'drop: { percent: 40 }',
      'put: { key: a, value: 1, timeout: 20s }',
      'expect: { nodes: all, values: { a: 1 } }',
    ];
    const file = await written('twice.yaml', steps);
    const one = await replayFile(file, { seed: 7 });
    const again = await replayFile(file, { seed: 7 });
    expect(one.result).toBe('passed');
    expect(again.steps).toEqual(one.steps);
  });
});
