import { expect, test } from 'vitest';
import { messageKinds } from '../protocol/wire/registry.js';
import { CrashPoint, crashPointNames, crashPointOf, crashSteps } from './crash-points.js';

test('nothing is armed unless it is asked for', () => {
  expect(crashPointOf(undefined, 'master')).toBeUndefined();
  expect(crashPointOf('', 'slave')).toBeUndefined();
});

test('an armed point dies at its time and not before', () => {
  const deaths: string[] = [];
  const point = crashPointOf('master:after-write:decision:3', 'master', (name) => deaths.push(name));
  point?.reached('after', 'write', 'decision');
  point?.reached('before', 'write', 'decision');
  point?.reached('after', 'write', 'epoch');
  point?.reached('after', 'write', 'decision');
  expect(deaths).toEqual([]);
  point?.reached('after', 'write', 'decision');
  expect(deaths).toEqual(['master:after-write:decision']);
});

test.each([
  'before-lunch',
  'master:after-write:decision:0',
  'master:after-write:decision:x',
  'master:after-write:decision:1:2',
  'master:after-write',
  'slave:before-send:vote',
  ':1',
])('a wrong value is refused with the names that there are: %s', (text) => {
  expect(() => crashPointOf(text, 'master')).toThrow(/LOCKSTEP_CRASH_AT .*of a master.*master:after-write:decision/);
});

test('a step that has no point is loud where one is armed: the table can not fall behind the code', () => {
  const point = new CrashPoint('slave:before-send:vote', 1, () => undefined);
  expect(() => {
    point.reached('before', 'send', 'prepare');
  }).toThrow('slave has no crash point for send prepare');
});

test('every kind of message has a point before and after it', () => {
  const sent = new Set<string>([...crashSteps.master.send, ...crashSteps.slave.send]);
  expect([...sent].sort()).toEqual([...messageKinds].sort());
});

test('no name is there twice', () => {
  expect(new Set(crashPointNames).size).toBe(crashPointNames.length);
  expect(crashPointNames.length).toBeGreaterThanOrEqual(30);
});
