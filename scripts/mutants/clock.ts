import type { Mutation } from './mutation.js';

const estimate = 'shared/protocol/clock/clock-estimate.ts';
const clockSync = 'slave/service/core/clock-sync.ts';
const clockSyncTest = 'slave/service/core/clock-sync.test.ts';
const groupTimeTraces = 'tests/integration/traces/group-time.test.ts';

/** What would have a slave report a clock error that is too small (G15). */
export const clockMutations: readonly Mutation[] = [
  {
    name: 'clock error that does not grow with age',
    guarantee: 'G15',
    edits: [
      {
        file: estimate,
        find: 'const growthMs = Math.abs(elapsedMs) * this.#rateError;',
        replace: 'const growthMs = Math.abs(elapsedMs) * this.#rateError * 0;',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G15', seeds: 40 },
  },
  {
    name: 'both ways of a round trip taken for equally long',
    guarantee: 'G15',
    edits: [
      {
        file: estimate,
        find: 'const earliestMs = remoteSentMs - slackMs;',
        replace: 'const earliestMs = remoteSentMs + (receivedMs - sentMs) / 2 - slackMs;',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G15', seeds: 40 },
  },
  {
    name: 'own sleep passed over by the clock',
    guarantee: 'G15',
    edits: [
      {
        file: clockSync,
        find: 'this.context.clock.mayHaveStopped(byMs);',
        replace: 'this.context.clock.mayHaveStopped(byMs * 0);',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: groupTimeTraces,
      title:
        'may be later by as long as the slave may have slept, until it is asked for again; nothing of before counts',
    },
  },
  {
    name: 'answers of before a sleep measured by a clock that stood still',
    guarantee: 'G15',
    edits: [
      {
        file: clockSync,
        find: 'this.context.clock.mayHaveStopped(byMs);\n    this.#awaited = [];',
        replace: 'this.context.clock.mayHaveStopped(byMs);',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: groupTimeTraces,
      title:
        'may be later by as long as the slave may have slept, until it is asked for again; nothing of before counts',
    },
  },
  {
    name: 'what was measured before the master slept kept',
    guarantee: 'G15',
    edits: [
      {
        file: clockSync,
        find: 'if (this.#era !== null && answer.era > this.#era) clock.forget();',
        replace: 'if (this.#era !== null && answer.era < this.#era) clock.forget();',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: clockSyncTest,
      title: 'counts no more with the first answer of a new era, though it would agree with it',
    },
  },
  {
    name: 'clock error counted from the middle of the interval',
    guarantee: 'G15',
    edits: [
      {
        file: estimate,
        find: 'return Math.max(latestMs - bestMs, bestMs - earliestMs);',
        replace: 'return bestMs > 0 ? (latestMs - earliestMs) / 2 : Infinity;',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'shared/protocol/clock/clock-estimate.test.ts',
      title: 'the true reading is inside the interval: at each answer, between two of them, and long after',
    },
  },
];
