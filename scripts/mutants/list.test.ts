import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mutations } from './list.js';
import { applyEdit } from './mutation.js';

describe('the list of mutations', () => {
  it.each(mutations)('finds the place of “$name”', async ({ edits }) => {
    for (const edit of edits) {
      const text = await readFile(join(import.meta.dirname, '../..', edit.file), 'utf8');
      expect(applyEdit(text, edit)).toMatchObject({ ok: true });
    }
  });

  it('breaks at least what has to be broken', () => {
    const names = mutations.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(
      expect.arrayContaining([
        'vote before durable',
        'commit before durable decision',
        'epoch check skipped',
        'prior check skipped',
      ]),
    );
  });
});
