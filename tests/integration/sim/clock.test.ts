import { describe, expect, test } from 'vitest';
import { Timeline } from './clock.js';

describe('virtual time', () => {
  test('stands at the event after which a condition held, also one that holds for a moment only', async () => {
    const timeline = new Timeline();
    const ran: number[] = [];
    for (const atMs of [10, 20, 30]) timeline.after(atMs, () => ran.push(atMs));
    let asked = 0;
    // As the question whether a large group has converged, which is put now and then: asked again, it says no.
    const stop = (): boolean => {
      asked += 1;
      return asked === 2;
    };
    await timeline.runUntil(100, stop);
    expect(ran).toEqual([10]);
    expect(timeline.nowMs).toBe(10);
  });

  test('goes on to the end when nothing stops it, past the last event', async () => {
    const timeline = new Timeline();
    const ran: number[] = [];
    for (const atMs of [10, 101]) timeline.after(atMs, () => ran.push(atMs));
    await timeline.runUntil(100, () => false);
    expect(ran).toEqual([10]);
    expect(timeline.nowMs).toBe(100);
  });
});
