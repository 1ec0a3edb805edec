import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runDrill } from './drill.js';
import { applyEdit } from './mutation.js';
import type { Edit, Mutation } from './mutation.js';

/** A tree of two files: a "core", and a "simulator" that judges it. */
const core = 'export const durableFirst = true;\nexport const epochChecked = true;\nexport const spare = true;\n';
const simulator = `import { durableFirst, epochChecked } from '../master/core.js';
const broken = durableFirst ? (epochChecked ? null : 'G7') : 'G2';
if (broken !== null) console.log('seed 1: ' + broken + ' at 12.500 ms: it does not hold');
console.log(broken === null ? '2 passed, 0 failed' : '1 passed, 1 failed');
process.exit(broken === null ? 0 : 1);
`;

const base: Mutation = {
  name: 'vote first',
  guarantee: 'G2',
  edits: [{ file: 'master/core.ts', find: 'durableFirst = true', replace: 'durableFirst = false' }],
  caughtBy: { kind: 'checker', id: 'G2', seeds: 2 },
};

function withEdit(edit: Partial<Edit>): Mutation {
  return { ...base, edits: base.edits.map((original) => ({ ...original, ...edit })) };
}

/** Two tests: one notices what the other is silent about. */
const tests = `import { expect, test } from 'vitest';
import { durableFirst } from './core.js';
test('is durable (first)', () => expect(durableFirst).toBe(true));
test('is there', () => expect(durableFirst).toBeDefined());
`;

describe('the mutation drill', () => {
  let root = '';

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'lockstep-drill-'));
    await mkdir(join(root, 'master'));
    await mkdir(join(root, 'scripts'));
    await writeFile(join(root, 'package.json'), '{ "type": "module" }\n');
    await writeFile(join(root, 'master/core.ts'), core);
    await writeFile(join(root, 'master/core.test.ts'), tests);
    await writeFile(join(root, 'scripts/sim.ts'), simulator);
    await symlink(join(import.meta.dirname, '../../node_modules'), join(root, 'node_modules'));
  });

  afterAll(() => rm(root, { recursive: true, force: true }));

  const verdictOn = async (mutation: Mutation): Promise<string> => {
    const [result] = await runDrill({ root, mutations: [mutation], timeoutMs: 20_000, workers: 1 });
    return result?.verdict ?? 'no result';
  };

  it('sees a break caught by the checker that is named', async () => {
    expect(await verdictOn(base)).toBe('caught');
  });

  it('sees a break caught by the test that is named, and by no other', async () => {
    const by = (title: string): Mutation => ({
      ...base,
      caughtBy: { kind: 'test', file: 'master/core.test.ts', title },
    });
    const mutations = ['is durable (first)', 'is there', 'is nowhere'].map(by);
    const results = await runDrill({ root, mutations, timeoutMs: 20_000, workers: 1 });
    expect(results.map(({ verdict }) => verdict)).toEqual(['caught', 'survived', 'survived']);
  });

  it('leaves the copy whole for the next mutation', async () => {
    const spare: Edit = { file: 'master/core.ts', find: 'spare = true', replace: 'spare = false' };
    const twice = { ...base, edits: [...base.edits, spare] };
    const mutations = [base, { ...base, edits: [spare] }, twice, base];
    const results = await runDrill({ root, mutations, timeoutMs: 20_000, workers: 1 });
    expect(results.map(({ verdict }) => verdict)).toEqual(['caught', 'survived', 'caught', 'caught']);
  });

  it('reports a mutation that nothing notices as a survivor', async () => {
    expect(await verdictOn(withEdit({ find: 'spare = true', replace: 'spare = false' }))).toBe('survived');
  });

  it('is not content with another checker', async () => {
    expect(await verdictOn(withEdit({ find: 'epochChecked = true', replace: 'epochChecked = false' }))).toBe(
      'caught by another',
    );
  });

  it('does not take a crash for a catch', async () => {
    expect(await verdictOn(withEdit({ replace: 'durableFirst = (' }))).toBe('did not run');
  });

  it('reports a place that is gone or ambiguous', async () => {
    expect(await verdictOn(withEdit({ find: 'nowhere' }))).toBe('not applied');
    expect(await verdictOn(withEdit({ find: '= true' }))).toBe('not applied');
    expect(await verdictOn(withEdit({ file: 'master/gone.ts' }))).toBe('not applied');
  });

  it('proves nothing when the unbroken tree fails too', async () => {
    await writeFile(join(root, 'master/core.ts'), core.replace('durableFirst = true', 'durableFirst = Boolean(0)'));
    expect(await verdictOn(withEdit({ find: 'spare = true', replace: 'spare = false' }))).toBe('did not run');
    await writeFile(join(root, 'master/core.ts'), core);
  });

  it('leaves no copy behind', async () => {
    // Temporary folders of its own: another drill on this machine is not this test's business.
    const outer = process.env['TMPDIR'];
    process.env['TMPDIR'] = join(root, 'temporary');
    await mkdir(join(root, 'temporary'));
    try {
      expect(await verdictOn(base)).toBe('caught');
      expect((await readdir(tmpdir())).filter((name) => name.startsWith('lockstep-mutant-'))).toEqual([]);
    } finally {
      if (outer === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = outer;
    }
  });
});

describe('applying an edit', () => {
  it('replaces literally, without reading patterns', () => {
    expect(applyEdit('a $& b', { find: '$&', replace: "$'" })).toEqual({ ok: true, text: "a $' b" });
  });
});
