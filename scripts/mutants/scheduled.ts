import type { Mutation } from './mutation.js';

const armings = 'master/service/core/armings.ts';
const armed = 'slave/service/core/armed.ts';
const traces = 'tests/integration/traces/scheduled.test.ts';
const cancelTraces = 'tests/integration/traces/scheduled-cancel.test.ts';

/** What would have somebody show a scheduled change early, alone, or hide behind an old copy (G16). */
export const scheduledMutations: readonly Mutation[] = [
  {
    name: 'lease of an unarmed member reaches the instant',
    guarantee: 'G16',
    edits: [
      {
        file: armings,
        find: 'return armed !== null && isToSwitch(armed) && this.#hasReported(armed, member);',
        replace: 'return true;',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title: 'gets no lease that reaches the instant, and is not current when the others switch (G12, G16)',
    },
  },
  {
    name: 'old store of the master that leads over what it armed since',
    guarantee: 'G16',
    edits: [
      {
        file: 'master/service/core/leadership.ts',
        find: 'return this.#foreignDoubt(copy) !== undefined || this.#unknownArming(copy) !== undefined;',
        replace: 'return this.#foreignDoubt(copy) !== undefined;',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title: 'with an older backup of its store refuses to lead: it would take back what is decided',
    },
  },
  {
    name: 'change shown by a clock that may be off by too much',
    guarantee: 'G16',
    edits: [
      {
        file: armed,
        find: 'return context.clock.errorMs(atMs) <= limits.maxClockErrorMs ? { change: staged.change, atMs } : null;',
        replace: 'return { change: staged.change, atMs };',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title: 'is nothing when the clock could be known too badly by then: it does not guess',
    },
  },
  {
    name: 'core that hears of other things before it hears what shows',
    guarantee: 'G12',
    edits: [
      {
        file: 'slave/service/slave-service.ts',
        find: 'const shown = this.#effects.takeShown();',
        replace: 'const shown: readonly SlaveInput[] = [];',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'slave/service/slave-service.test.ts',
      title: 'of a scheduled change: the core hears that it shows before anything else, and before anybody asks for the state',
    },
  },
  {
    name: 'slave that guesses whether the instant has come',
    guarantee: 'G16',
    edits: [
      {
        file: armed,
        find: 'if (clock.errorMs(nowMs) > limits.maxClockErrorMs)',
        replace: 'if (clock.errorMs(nowMs) === Infinity)',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title: 'that arises after the arming makes it wait and not be current, until it knows; it does not guess',
    },
  },
  {
    name: 'yes whatever the clock error',
    guarantee: 'G16',
    edits: [
      {
        file: 'slave/service/core/packets.ts',
        find: "if (errorMs <= limits.maxClockErrorMs) return '';",
        replace: "if (errorMs < Infinity) return '';",
      },
    ],
    caughtBy: { kind: 'test', file: traces, title: 'is a no with the reason' },
  },
  {
    name: 'scheduled change shown a second early',
    guarantee: 'G16',
    edits: [
      {
        file: armed,
        find: "return localMs !== null && localMs <= nowMs ? 'come' : 'ahead';",
        replace: "return localMs !== null && localMs <= nowMs + 1000 ? 'come' : 'ahead';",
      },
    ],
    caughtBy: { kind: 'checker', id: 'G16', seeds: 60 },
  },
  {
    name: 'paused slave current with the old copy past the instant',
    guarantee: 'G16',
    edits: [
      {
        file: armed,
        find: "if (moment === 'come') return `version ${version} is due`;",
        replace: "if (moment === 'come') return '';",
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title: 'does not show the old copy as current when it was paused across it, and activates late',
    },
  },
  {
    name: 'cancellation that waits for nobody',
    guarantee: 'G16',
    edits: [
      {
        file: armings,
        find: 'else if (this.#missing(armed).length === 0) this.#withdraw(armed);',
        replace: 'else this.#withdraw(armed);',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: cancelTraces,
      title: 'fails when somebody that may be armed does not confirm: it stands, and all show it at its instant',
    },
  },
  {
    name: 'late arming wins over the cancellation',
    guarantee: 'G16',
    edits: [{ file: armed, find: 'if (note.order > known)', replace: 'if (note.order !== known)' }],
    caughtBy: {
      kind: 'test',
      file: cancelTraces,
      title: 'wins over an arming that arrives after it, and one voter that was never armed confirms as well',
    },
  },
  {
    name: 'armed although a newer reign has said nothing of it',
    guarantee: 'G16',
    edits: [
      {
        file: 'slave/service/core/staged.ts',
        find: 'return mark?.armed === true && decided === null && sameEpoch(mark.reign, reign);',
        replace:
          'return mark?.armed === true && decided === null && (reign.number > 0 || sameEpoch(mark.reign, reign));',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: cancelTraces,
      title: 'of another store activates nothing of what it has not been told: its slaves wait for its word',
    },
  },
];
