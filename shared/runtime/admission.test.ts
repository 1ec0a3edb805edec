import { expect, test } from 'vitest';
import { Admission } from './admission.js';

/** Work that goes on until it is told to end. */
class Works {
  readonly started: string[] = [];
  readonly #ends = new Map<string, () => void>();

  work(name: string): () => Promise<string> {
    return () => {
      this.started.push(name);
      return new Promise((resolve) => this.#ends.set(name, () => resolve(name)));
    };
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)?.();
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  }
}

test('a few at a time, in order of arrival', async () => {
  const admission = new Admission(2);
  const works = new Works();
  const all = ['a', 'b', 'c'].map((name) => admission.run(works.work(name), null));
  await works.end('');
  expect(works.started).toEqual(['a', 'b']);
  await works.end('b');
  expect(works.started).toEqual(['a', 'b', 'c']);
  await works.end('a');
  await works.end('c');
  expect(await Promise.all(all)).toEqual(['a', 'b', 'c']);
});

test('a group shares one place, which is free when the last of it has ended', async () => {
  const admission = new Admission(1);
  const works = new Works();
  const group = {};
  const all = [
    admission.run(works.work('a1'), group),
    admission.run(works.work('b'), null),
    admission.run(works.work('a2'), group),
  ];
  await works.end('');
  expect(works.started).toEqual(['a1', 'a2']);
  await works.end('a1');
  expect(works.started).toEqual(['a1', 'a2']);
  await works.end('a2');
  expect(works.started).toEqual(['a1', 'a2', 'b']);
  await works.end('b');
  await Promise.all(all);
  await admission.onIdle();
});

test('work that fails frees its place', async () => {
  const admission = new Admission(1);
  const failing = (): Promise<never> => Promise.reject(new Error('broken'));
  await expect(admission.run(failing, {})).rejects.toThrow('broken');
  await expect(admission.run(failing, null)).rejects.toThrow('broken');
  expect(await admission.run(() => Promise.resolve('next'), null)).toBe('next');
});
