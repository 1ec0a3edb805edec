import { describe, expect, test } from 'vitest';
import { Timers } from './timers.js';

describe('a table of deadlines', () => {
  test('tells the earliest of all, and of those that want precision', () => {
    const timers = new Timers<'retry' | 'instant' | 'other'>();
    expect([timers.next(), timers.nextExact()]).toEqual([Infinity, Infinity]);
    timers.set('retry', 50);
    expect([timers.next(), timers.nextExact()]).toEqual([50, Infinity]);
    timers.setExact('instant', 70.25);
    timers.setExact('other', 40.5);
    expect([timers.next(), timers.nextExact()]).toEqual([40.5, 40.5]);
    timers.clear('other');
    expect([timers.next(), timers.nextExact()]).toEqual([50, 70.25]);
    expect(timers.takeDue('instant', 70)).toBe(false);
    expect(timers.takeDue('instant', 70.25)).toBe(true);
    expect(timers.takeDue('instant', 70.25)).toBe(false);
    expect(timers.nextExact()).toBe(Infinity);
  });

  test('that is set anew without precision wants none', () => {
    const timers = new Timers<'one'>();
    timers.setExact('one', 10);
    timers.set('one', 20);
    expect([timers.next(), timers.nextExact()]).toEqual([20, Infinity]);
    timers.setExact('one', 30);
    timers.clearAll();
    expect([timers.next(), timers.nextExact()]).toEqual([Infinity, Infinity]);
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
