import { describe, expect, test } from 'vitest';
import { Timers } from './timers.js';

describe('a table of deadlines', () => {
  test('tells the earliest of all, and each once', () => {
    const timers = new Timers<'retry' | 'other'>();
    expect(timers.next()).toBe(Infinity);
    timers.set('retry', 50);
    timers.set('other', 40.5);
    expect(timers.next()).toBe(40.5);
    timers.clear('other');
    expect(timers.next()).toBe(50);
    expect(timers.takeDue('retry', 49)).toBe(false);
    expect(timers.takeDue('retry', 50)).toBe(true);
    expect(timers.takeDue('retry', 50)).toBe(false);
    timers.set('retry', 60);
    timers.clearAll();
    expect(timers.next()).toBe(Infinity);
  });

  test('knows what is due by then', () => {
    const timers = new Timers<'one'>();
    expect(timers.isDueBy('one', 1e12)).toBe(false);
    timers.set('one', 10);
    expect([timers.isDueBy('one', 9), timers.isDueBy('one', 10)]).toEqual([false, true]);
    timers.takeDue('one', 11);
    expect(timers.isDueBy('one', 11)).toBe(false);
  });
});
