import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDependencies } from '../../../scripts/checks/dependencies.js';
import type { DependencyReport } from '../../../scripts/checks/dependencies.js';

const project = join(import.meta.dirname, '../../..');

/** A small tree in which each file, but for the innocent ones, breaks one rule. */
const planted: Readonly<Record<string, string>> = {
  'shared/protocol/kernel/ids.ts': `export type Id = string;\nexport const id = 'a';\n`,
  'shared/protocol/kernel/upward.ts': `export { message } from '../wire/messages.js';\n`,
  'shared/protocol/wire/messages.ts': `import { id } from '../kernel/ids.js';\nexport const message = id;\n`,
  'shared/protocol/wire/window.ts': `export { window } from '../stream/window.js';\n`,
  'shared/protocol/wire/drawn.ts': `export { randomBytes } from 'node:crypto';\n`,
  'shared/protocol/wire/summed.ts': `export { crc32 } from 'node:zlib';\n`,
  'shared/protocol/stream/window.ts': `import type { Id } from '../kernel/ids.js';\nexport const window: Id = 'w';\n`,
  'shared/protocol/clock/estimate.ts': `export { message as reading } from '../wire/messages.js';\n`,
  'shared/protocol/key-value/operations.ts': `export { message as operation } from '../wire/messages.js';\n`,
  'shared/runtime/driver.ts': `import type { Core } from '../../master/service/core/core.js';\nexport type Driven = Core;\n`,
  'shared/runtime/maker.ts': `import { Core } from '../../master/service/core/core.js';\nexport const core = new Core();\n`,
  'master/service/core/core.ts': `export class Core {}\n`,
  'master/service/core/clock.ts': `import { hrtime } from 'node:process';\nexport const now = hrtime;\n`,
  'master/service/core/impatient.ts': `export { Service } from '../service.js';\n`,
  'master/service/core/packed.ts': `export { pack } from 'msgpackr';\n`,
  'master/service/service.ts': `export class Service {}\n`,
  'master/service/curious.ts': `export { operation } from '../../shared/protocol/key-value/operations.js';\n`,
  'master/user/layer.ts': `export { message as heard } from '../../shared/protocol/wire/messages.js';\n`,
  'master/borrowed.ts': `export { Copy } from '../slave/copy.js';\n`,
  'master/tested.ts': `export { fixture } from '../tests/integration/fixture.js';\n`,
  'master/scripted.ts': `export { script } from '../scripts/script.js';\n`,
  'master/developing.ts': `export { property } from 'fast-check';\n`,
  'master/lost.ts': `export { nothing } from './nowhere.js';\n`,
  'master/ring-a.ts': `import { b } from './ring-b.js';\nexport const a = (): unknown => b;\n`,
  'master/ring-b.ts': `import { a } from './ring-a.js';\nexport const b = (): unknown => a;\n`,
  'slave/copy.ts': `export class Copy {}\n`,
  'slave/commanded.ts': `export { command } from '../cli/main.js';\n`,
  'slave/index.ts': `export { Copy } from './copy.js';\n`,
  'activation/core/table.ts': `export const table = 1;\n`,
  'activation/core/stored.ts': `export { server } from '../data-server/server.js';\n`,
  'activation/core/timed.ts': `export { hrtime } from 'node:process';\n`,
  'activation/data-server/server.ts': `import { table } from '../core/table.js';\nexport const server = table;\n`,
  'activation/data-server/fetching.ts': `export { copy } from '../copy/copy.js';\n`,
  'activation/data-server/eager.ts': `export { Pool } from 'pg';\n`,
  'activation/data-server/patient.ts': `import type { Pool } from 'pg';\nexport const load = async (): Promise<typeof Pool> => (await import('pg')).Pool;\n`,
  'activation/copy/copy.ts': `import { table } from '../core/table.js';\nexport const copy = table;\n`,
  'activation/copy/replicating.ts': `export { Copy } from '../../slave/copy.js';\n`,
  'master/cyclic.ts': `export { server } from '../activation/data-server/server.js';\n`,
  'examples/shop/price.ts': `export const price = 5;\n`,
  'examples/shop/service.ts': `export { price } from './price.js';\nexport { Copy } from 'lockstep/slave';\n`,
  'examples/shop/prying.ts': `export { Service } from '../../master/service/service.js';\n`,
  'examples/feed/borrowing.ts': `export { price } from '../shop/price.js';\n`,
  'slave/exemplary.ts': `export { price } from '../examples/shop/price.js';\n`,
  'cli/main.ts': `export { Service as command } from '../master/service/service.js';\n`,
  'scripts/script.ts': `export { fixture as script } from '../tests/integration/fixture.js';\n`,
  'tests/integration/fixture.ts': `export { Service as fixture } from '../../master/service/service.js';\n`,
  'master/service/service.test.ts': `export { fixture } from '../../tests/integration/fixture.js';\n`,
};

const expected: readonly (readonly [string, string])[] = [
  ['kernel-knows-nothing', 'shared/protocol/kernel/upward.ts'],
  ['wire-knows-kernel', 'shared/protocol/wire/window.ts'],
  ['clock-knows-kernel', 'shared/protocol/clock/estimate.ts'],
  ['key-value-knows-kernel', 'shared/protocol/key-value/operations.ts'],
  ['core-knows-protocol', 'master/service/core/impatient.ts'],
  ['runtime-sees-core-as-interface', 'shared/runtime/maker.ts'],
  ['pure-code-needs-no-builtin', 'master/service/core/clock.ts'],
  ['wire-needs-only-byte-functions', 'shared/protocol/wire/drawn.ts'],
  ['cores-need-no-package', 'master/service/core/packed.ts'],
  ['service-never-interprets-data', 'master/service/curious.ts'],
  ['user-layer-knows-kernel', 'master/user/layer.ts'],
  ['sides-never-meet', 'master/borrowed.ts'],
  ['activation-core-knows-protocol', 'activation/core/stored.ts'],
  ['pure-code-needs-no-builtin', 'activation/core/timed.ts'],
  ['data-server-and-copy-never-meet', 'activation/data-server/fetching.ts'],
  ['activation-knows-shared', 'activation/copy/replicating.ts'],
  ['peers-are-loaded-on-demand', 'activation/data-server/eager.ts'],
  ['sides-need-no-activation', 'master/cyclic.ts'],
  ['nothing-imports-tests', 'master/tested.ts'],
  ['scripts-are-leaves', 'master/scripted.ts'],
  ['cli-is-a-leaf', 'slave/commanded.ts'],
  ['examples-use-the-public-entries', 'examples/shop/prying.ts'],
  ['examples-use-the-public-entries', 'examples/feed/borrowing.ts'],
  ['nothing-imports-examples', 'slave/exemplary.ts'],
  ['shipped-code-needs-no-dev-dependency', 'master/developing.ts'],
  ['not-to-unresolvable', 'master/lost.ts'],
  ['no-circular', 'master/ring-a.ts'],
];

/** Reading the whole tree takes seconds, and more on a busy machine. */
const cruiseTimeoutMs = 120_000;

describe('the lint of dependencies', () => {
  let folder = '';
  let report: DependencyReport = { modules: 0, violations: [] };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-planted-'));
    for (const [path, text] of Object.entries(planted)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    for (const file of ['package.json', 'tsconfig.json']) await cp(join(project, file), join(folder, file));
    await symlink(join(project, 'node_modules'), join(folder, 'node_modules'));
    report = await readDependencies(folder);
  }, cruiseTimeoutMs);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('reads every planted module', () => {
    expect(report.modules).toBe(Object.keys(planted).length);
  });

  it.each(expected)('finds a planted violation of %s', (rule, from) => {
    expect(report.violations.map((violation) => `${violation.rule} ${violation.from}`)).toContain(`${rule} ${from}`);
  });

  it('finds nothing where nothing was planted', () => {
    const guilty = new Set([...expected.map(([, from]) => from), 'master/ring-b.ts']);
    expect(report.violations.filter(({ from }) => !guilty.has(from))).toEqual([]);
  });

  it(
    'reads the real tree, and finds nothing there',
    async () => {
      const real = await readDependencies(project);
      expect(real.modules).toBeGreaterThan(100);
      expect(real.violations).toEqual([]);
    },
    cruiseTimeoutMs,
  );
});
