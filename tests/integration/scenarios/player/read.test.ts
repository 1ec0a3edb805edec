import { describe, expect, test } from 'vitest';
import { BadScenario } from './place.js';
import { readScenario } from './read.js';

function problem(...lines: readonly string[]): string {
  try {
    readScenario('f.yaml', ['title: t', ...lines].join('\n'));
  } catch (error) {
    if (error instanceof BadScenario) return error.message;
    throw error;
  }
  return 'nothing is wrong';
}

function stepProblem(step: string): string {
  return problem('steps:', '  - start: all', `  - ${step}`);
}

describe('a scenario file', () => {
  test('is read with its lines, its durations and its steps', () => {
    const scenario = readScenario(
      'f.yaml',
      'title: t\nslaves: 3\nsteps:\n  - start: all\n  - put: { key: a, value: [1], timeout: 2s, expect: { aborted: refused, by: s2 } }\n    note: why\n',
    );
    expect(scenario).toMatchObject({
      title: 't',
      slaves: 3,
      data: 'key-value',
      notReal: null,
      seeds: 1,
      ending: 'converged',
    });
    expect(scenario.steps[1]).toMatchObject({
      line: 5,
      note: 'why',
      action: {
        kind: 'change',
        expect: { kind: 'aborted', reason: 'refused', by: ['s2'] },
        request: { timeoutMs: 2000, data: { kind: 'operations', operations: [{ put: ['a', [1]] }] } },
      },
    });
  });

  test.each([
    ['sleep: 2s', "f.yaml:4: a step knows no 'sleep'; it knows start, "],
    ['expct: { nodes: all, version: 1 }', "f.yaml:4: a step knows no 'expct'; did you mean 'expect'?"],
    ['put: { kye: a, value: 1 }', "f.yaml:4: put knows no 'kye'; did you mean 'key'?"],
    ['put: { value: 1 }', "f.yaml:4: 'key' is missing"],
    ['drop: { kind: comit }', 'f.yaml:4: kind has to be one of survey, '],
    ['drop: { kind: comit }', "not comit; did you mean 'commit'?"],
    ['kill: s7', "f.yaml:4: the group: no 's7'; did you mean"],
    ['outcome: { of: nobody, is: committed }', "f.yaml:4: the scenario has started no change as: no 'nobody'"],
    ['release: nothing', "f.yaml:4: nothing is dropped or held as: no 'nothing'"],
    ['wait: a while', 'f.yaml:4: wait has to be a duration like 500ms or 2s, at most 60s, not a while'],
    ['wait: 2h', 'f.yaml:4: wait has to be a duration'],
    ['expect: { nodes: all }', 'f.yaml:4: expect says nothing about its nodes'],
    ['expect: { nodes: s1, sent: { votes: 1 } }', "f.yaml:4: sent knows no 'votes'; did you mean 'vote'?"],
    ['expect: { nodes: s1, calls: { commit: many } }', "f.yaml:4: calls has to be a count, or 'at least 1', not many"],
    ['put: { key: a, value: 1, as: x, expect: committed }', "f.yaml:4: with 'as' the change goes on"],
    ['add: { amount: 1 }', "f.yaml:4: 'add' needs 'data: counter'"],
    ['expect: { nodes: s1, total: 1 }', "f.yaml:4: 'total' needs 'data: counter'"],
    ['crash: { node: s1 }', "f.yaml:4: crash names either 'before'"],
    ['{ kill: s1, start: s1 }', "f.yaml:4: a step does one thing: 'kill' and 'start' are two"],
  ])('refuses %s with its line and what to give instead', (step, expected) => {
    expect(stepProblem(step)).toContain(expected);
  });

  test('refuses what is wrong with the whole', () => {
    expect(problem()).toBe('f.yaml:1: the scenario has no steps');
    expect(problem('step: []')).toBe("f.yaml:2: a scenario knows no 'step'; did you mean 'steps'?");
    expect(problem('real: false', 'steps:', '  - start: all')).toContain("'real: false' needs a reason");
    expect(problem('data: counter', 'steps:', '  - start: all')).toContain("'data: counter' needs 'real: false'");
    expect(problem('historyBytes: 1', 'steps:', '  - start: all')).toContain("'historyBytes' needs 'real: false'");
    expect(problem('steps:', '  - start: all', '  - start: *x')).toMatch(/^f\.yaml:4: /);
    expect(problem('steps: [', '  nothing closes this')).toMatch(/^f\.yaml:\d+: /);
    expect(problem('slaves: 2', 'slaves: 3', 'steps:', '  - start: all')).toMatch(/^f\.yaml:3: /);
  });
});
