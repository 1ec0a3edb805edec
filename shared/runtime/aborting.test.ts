import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { refuseAborted, unlessAborted } from './aborting.js';

test('a wait ends with the work, and leaves nothing at the signal', async () => {
  const { signal } = new AbortController();
  expect(await unlessAborted(Promise.resolve(5), signal)).toBe(5);
  await expect(unlessAborted(Promise.reject(new Error('mine')), signal)).rejects.toThrow('mine');
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('a wait ends with the signal; the work may fail later, unheard', async () => {
  const controller = new AbortController();
  let fail: (error: Error) => void = () => undefined;
  const work = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  const waiting = unlessAborted(work, controller.signal);
  controller.abort(new Error('too long'));
  await expect(waiting).rejects.toMatchObject({ code: 'aborted-by-caller', cause: { message: 'too long' } });
  fail(new Error('late'));
  await new Promise((resolve) => setImmediate(resolve));
});

test('what is aborted already is refused', async () => {
  const signal = AbortSignal.abort();
  expect(() => {
    refuseAborted(signal);
  }).toThrow('the caller aborted');
  await expect(unlessAborted(new Promise(() => undefined), signal)).rejects.toMatchObject({
    code: 'aborted-by-caller',
  });
});
