import type { Mutation } from './mutation.js';

const core = 'activation/copy/core/cycle-core.ts';
const time = 'activation/copy/core/remote-time.ts';
const worth = 'activation/copy/core/worth.ts';
const records = 'activation/copy/copy-records.ts';
const follower = 'activation/copy/follower.ts';
const world = 'activation/copy/follower.test.ts';
const retrieval = 'activation/copy/retrieval.test.ts';

function mutation(name: string, file: string, find: string, replace: string, title: string, by = world): Mutation {
  return {
    name,
    guarantee: 'pull cycle, copies',
    edits: [{ file, find, replace }],
    caughtBy: { kind: 'test', file: by, title },
  };
}

/** What breaks the pull cycle at the servers that copy: one for each of its traps, and more. */
export const cycleCopyMutations: readonly Mutation[] = [
  {
    name: 'changes put on top of a content that they do not lead from',
    guarantee: 'pull cycle, copies',
    edits: [
      {
        file: core,
        find: 'this.#fetching !== null || this.#exposing || nowMs',
        replace: 'this.#fetching !== null || nowMs',
      },
      {
        file: core,
        find: '(content.from !== base || content.source !== this.#held.source)',
        replace: 'base === undefined',
      },
    ],
    caughtBy: { kind: 'test', file: world, title: 'shows only whole contents of the cycle that it names' },
  },
  mutation(
    'whatever is staged is shown at the instant',
    core,
    "if (this.#held.staged === expected) {\n      this.#exposing = true;\n      this.#effects.push({ kind: 'expose', cycle: expected });",
    "if (this.#held.staged === expected || (this.#held.staged !== null && this.#missed !== expected)) {\n      this.#missed = expected;\n      this.#exposing = true;\n      this.#effects.push({ kind: 'expose', cycle: this.#held.staged });",
    'of a cycle whose retrieval failed shows no older data, and follows when the content can be had',
  ),
  mutation(
    'instant taken by a clock that is a second off',
    time,
    "return bestMs >= instantMs - grainMs ? 'after' : 'before';",
    "return bestMs + 1000 >= instantMs - grainMs ? 'after' : 'before';",
    'shows the staged content at the instant, and the next one at the next',
  ),
  mutation(
    'clock measured once',
    time,
    'this.#clock.sample(stamps);',
    'if (this.#clockId === null) this.#clock.sample(stamps);',
    'stay within the reported error with clocks hours apart, drift and lopsided ways: seed 1',
  ),
  mutation(
    'reported error without the half of the way that nobody sees',
    time,
    'errorMs: Math.max(latestMs - bestMs, bestMs - earliestMs)',
    'errorMs: Math.max(latestMs - bestMs, bestMs - earliestMs) / 10',
    'stay within the reported error with clocks hours apart, drift and lopsided ways: seed 1',
  ),
  mutation(
    'guess with a clock that is not known well enough',
    time,
    'if (errorMs <= this.#maxErrorMs)',
    'if (errorMs <= Infinity)',
    'with an error above the bound are waited for until they have certainly passed, and nothing is called current meanwhile',
  ),
  mutation(
    'sleep passed over',
    follower,
    "if (sleptMs > 0) this.#inputs.unshift({ kind: 'suspended', byMs: sleptMs });",
    '',
    'that slept before the instant activates in time, by a clock that was measured again',
  ),
  mutation(
    'wall clock that was set taken for a sleep for certain',
    time,
    'const { earliestMs, bestMs } = reading;',
    'const earliestMs = reading.earliestMs + this.#doubtMs;\n    const bestMs = reading.bestMs + this.#doubtMs;',
    'do not move with the wall clock',
  ),
  mutation(
    'reader answered by a clock that stood',
    follower,
    'const sleptMs = this.#draining || this.#stopped ? 0 : this.#jumps.takeMs();',
    'const sleptMs = 0;',
    'that is held across the instant (sleep) activates late, says so, and never calls the old copy current',
  ),
  mutation(
    'old content called current after the instant',
    worth,
    'if (held.active !== expected)',
    'if (held.active !== expected && held.active !== table.activeCycle)',
    'of a cycle whose retrieval failed shows no older data, and follows when the content can be had',
  ),
  mutation(
    'current for ever',
    worth,
    'if (silentMs > bounds.leaseMs)',
    'if (silentMs > Infinity)',
    'that does not hear the data server goes on, activates what is armed, and is not current for ever',
  ),
  mutation(
    'everybody rolls',
    core,
    "what: isDue ? 'roll' : 'table'",
    "what: isDue ? 'table' : 'roll'",
    'shows the staged content at the instant, and the next one at the next',
  ),
  mutation(
    'new server waits for a staged content',
    core,
    "if (!isSame || active === null) return { of: 'active', since: null };",
    'if (!isSame || active === null) return null;',
    'that is new takes the active content at once and serves it',
  ),
  mutation(
    'locked once, never again',
    core,
    'this.#askAtMs = Math.max(nowMs, Math.min(retryMs, overMs)) + bounds.rollAgainMs;',
    'this.#askAtMs = Infinity * Math.max(retryMs, overMs);',
    'goes on when the holder of the lock dies: the lock is over, and another rolls',
    retrieval,
  ),
  mutation(
    'retrieval tried once',
    core,
    'this.#fetching = null;\n      this.#fetchAtMs = nowMs + this.#fetchBackoff.nextMs();',
    'this.#fetching = null;\n      this.#fetchAtMs = Infinity * this.#fetchBackoff.nextMs();',
    'is tried until it succeeds; how long the one that succeeded took is told to the data server',
    retrieval,
  ),
  mutation(
    'whole contents at each cycle',
    core,
    "return { of: 'staged', since: base };",
    "return { of: 'staged', since: null };",
    'never shows a mixture, and moves each change once and no byte for a cycle without any',
  ),
  mutation(
    'what was staged by the other mode is taken for its own',
    records,
    'if (!isSameMode || meta.staged === null || meta.source === null)',
    'if (meta.staged === null || meta.source === null)',
    'from swap to copy keeps what is active, and goes on',
  ),
  mutation(
    'cycles of another database compared',
    core,
    'const isSame = this.#held.source === table.source;',
    'const isSame = this.#held.source !== null || table.source !== null;',
    'takes another database for what it is, whatever its cycles are called',
  ),
  mutation(
    'late activation passed over in silence',
    core,
    'afterMs === null || afterMs > bounds.lateMs',
    'afterMs === null',
    'that is held across the instant (pause) activates late, says so, and never calls the old copy current',
  ),
  mutation(
    'copied over in two turns',
    'activation/copy/copies.ts',
    'this.#active = applied(before, changes);',
    `const [key] = changes.columns.keys;
    const isFirst = changes.columns.deletes.length === 0 && key !== undefined;
    const columns = { keys: [key ?? ''], values: changes.columns.values.slice(0, 1), deletes: [] };
    this.#active = applied(before, isFirst ? { ...changes, columns } : changes);
    setImmediate(() => applied(before, changes));`,
    'never shows a mixture, and moves each change once and no byte for a cycle without any',
  ),
  mutation(
    'retrieval that does not fit the interval passed over',
    core,
    'if (durationMs >= intervalMs)',
    'if (durationMs > Infinity)',
    'that takes longer than the interval is said',
    retrieval,
  ),
  mutation(
    'wait that ends at once when it is longer than a system timer',
    'activation/copy/cycle-copy.ts',
    'cancel = this.#clock.at(this.#clock.monotonicMs() + timeoutMs, late);',
    'const timer = setTimeout(late, timeoutMs);\n      cancel = () => clearTimeout(timer);',
    'what waits ends: by its time, by its signal, and by close',
    'activation/copy/cycle-copy.test.ts',
  ),
];
