import type { Mutation } from './mutation.js';

const armings = 'master/service/core/armings.ts';
const armed = 'slave/service/core/armed.ts';
const replications = 'master/service/core/replications.ts';
const traces = 'tests/integration/traces/scheduled.test.ts';
const cancelTraces = 'tests/integration/traces/scheduled-cancel.test.ts';
const lopsided =
  'is shown within the error that each reports, and the bound of the skew holds it, where one way is much longer than the other';

/** What would have somebody show a scheduled change early, alone, or hide behind an old copy (G16). */
export const scheduledMutations: readonly Mutation[] = [
  {
    name: 'lease of an unarmed member reaches the instant',
    guarantee: 'G16',
    edits: [
      {
        file: armings,
        find: 'return armed !== null && isToSwitch(armed) && this.#reports.has(armed, member);',
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
      title:
        'of a scheduled change: the core hears that it shows before anything else, and before anybody asks for the state',
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
        file: 'slave/service/core/awaited-clock.ts',
        find: "if (errorMs <= limits.maxClockErrorMs) return '';",
        replace: "if (errorMs < Infinity) return '';",
      },
    ],
    caughtBy: { kind: 'test', file: traces, title: 'is a no with the reason' },
  },
  {
    name: 'copy that shows a first change before its master taken for diverged',
    guarantee: 'G13',
    edits: [
      {
        file: 'slave/service/core/catch-up.ts',
        find: 'if (!sameTip(armed, this.participant.planned)) this.#becomeDiverged(this.participant.planned);',
        replace: 'this.#becomeDiverged(this.participant.planned);',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title:
        'past the instant of its very first change: no copy that shows it takes itself for one of another original',
    },
  },
  {
    name: 'no without asking for the clock',
    guarantee: 'G16',
    edits: [
      {
        file: 'slave/service/core/awaited-clock.ts',
        find: 'return !this.#waiting.isOver;',
        replace: 'return false;',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title: 'that an answer brings down is asked for at once, and the vote is a yes',
    },
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
        find: 'else if (this.#reports.missing(armed).length === 0) this.#withdraw(armed);',
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
  {
    name: 'shown change written whenever a packet comes',
    guarantee: 'G7',
    edits: [
      {
        file: 'slave/service/slave-effects.ts',
        find: 'const writeMs = before === null ? -Infinity : before.atMs + limits.afterShowingMs;',
        replace: 'const writeMs = before === null ? -Infinity : before.atMs;',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'slave/service/slave-service.test.ts',
      title: 'it is written when the rest is over, whatever brought the core there before',
    },
  },
  {
    name: 'clock that a reign before was asked for asked for ever',
    guarantee: 'G16',
    edits: [
      {
        file: 'slave/service/core/awaited-clock.ts',
        find: 'if (this.#waiting?.isOver === false) this.#letGo();',
        replace: '',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'slave/service/core/awaited-clock.test.ts',
      title: 'is forgotten with its reign, and so is the clock that it asked for',
    },
  },
  {
    name: 'leases of those who show it already waited out',
    guarantee: 'G16',
    edits: [
      {
        file: 'master/service/core/armings.ts',
        find: '.filter((member) => this.#reports.hasOrShows(armed, member));',
        replace: '.filter((member) => this.#reports.has(armed, member));',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title:
        'is committed at once by a master that hears of copies before its own turn: they hold no lease for what was before',
    },
  },
  {
    name: 'decided so late that leases reach the instant',
    guarantee: 'G16',
    edits: [
      {
        file: 'master/service/core/arming-times.ts',
        find: 'return this.leasesEndByMs(activateAtMs) - this.context.config.leaseMs * (1 + 2 * limits.clockRateError);',
        replace: 'return this.leasesEndByMs(activateAtMs);',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title:
        'has no voice in a decision that would come too late for leases: the round aborts a lease before the instant',
    },
  },
  {
    name: 'arming that leaves before the decision is durable',
    guarantee: 'G16',
    edits: [
      {
        file: armings,
        find: 'this.#decidingMs = activateAtMs;',
        replace: 'this.#decidingMs = activateAtMs;\n    this.#send(this.#hold(recordOf(round, activateAtMs), round));',
      },
    ],
    caughtBy: { kind: 'test', file: traces, title: 'is decided durably before the first arming leaves (G16)' },
  },
  {
    name: 'lease renewed across the instant while the decision is being written',
    guarantee: 'G16',
    edits: [
      {
        file: armings,
        find: 'armed?.record.activateAtMs ?? this.#decidingMs;',
        replace: 'armed?.record.activateAtMs ?? null;',
      },
    ],
    caughtBy: { kind: 'test', file: traces, title: 'is decided durably before the first arming leaves (G16)' },
  },
  {
    name: 'armed before it is on disk',
    guarantee: 'G16',
    edits: [
      {
        file: armed,
        find: 'this.#write = { token: this.context.persist([record], this.context.durable), staged, mark };',
        replace:
          'this.#write = { token: this.context.persist([record], this.context.durable), staged, mark };\n      staged.mark = mark;\n      this.listener.sendStatus();',
      },
    ],
    caughtBy: { kind: 'test', file: traces, title: 'is reported as armed only once that is on disk (G16)' },
  },
  {
    name: 'later change beside an armed one',
    guarantee: 'G16',
    edits: [{ file: replications, find: 'if (this.armings.tip !== null) return this.#expire();', replace: '' }],
    caughtBy: { kind: 'test', file: traces, title: 'queues behind an armed change, and goes when it has shown' },
  },
  {
    name: 'instant nearer than the group can arm',
    guarantee: 'G16',
    edits: [
      {
        file: replications,
        find: 'if (activateAtMs >= earliestAtMs) return null;',
        replace: 'if (activateAtMs > nowMs) return null;',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title: 'that has passed, or is nearer than the group can arm, is refused with the earliest possible one',
    },
  },
  {
    name: 'instant beyond the horizon',
    guarantee: 'G16',
    edits: [
      { file: replications, find: 'if (activateAtMs > latestAtMs) {', replace: 'if (activateAtMs > Infinity) {' },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title: 'beyond the horizon is refused with the latest and the earliest possible one',
    },
  },
  {
    name: 'cancellation told before it is durable',
    guarantee: 'G16',
    edits: [
      {
        file: armings,
        find: 'armed.write = this.context.persist([this.#removal()], { durable: true });',
        replace:
          'this.#onWithdrawn(armed);\n    armed.write = this.context.persist([this.#removal()], { durable: true });',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: cancelTraces,
      title: 'takes it back at all that are armed, and is durable before it is told; then nobody ever shows it',
    },
  },
  {
    name: 'master that forgets over a restart what is armed',
    guarantee: 'G16',
    edits: [
      { file: armings, find: 'if (this.onDisk !== null) this.#hold(this.onDisk, null);', replace: 'void this.onDisk;' },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title: 'before the instant: what was armed still is, under the same name and for the same instant',
    },
  },
  {
    name: 'slave that forgets over a restart that it is armed',
    guarantee: 'G16',
    edits: [{ file: 'slave/service/core/participant.ts', find: 'mark: record.mark ?? null,', replace: 'mark: null,' }],
    caughtBy: { kind: 'test', file: traces, title: 'is armed again by a restart before it' },
  },
  {
    name: 'late activation passed over in silence, at a slave',
    guarantee: 'G16',
    edits: [
      {
        file: armed,
        find: 'if (lateMs === null || clockErrorMs === null || lateMs > limits.maxClockErrorMs)',
        replace: 'if (lateMs === null || clockErrorMs === null)',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: traces,
      title: 'does not show the old copy as current when it was paused across it, and activates late',
    },
  },
  {
    name: 'paused master current with the old state past the instant',
    guarantee: 'G16',
    edits: [
      {
        file: 'master/http/api.ts',
        find: "return phase === 'leading' && !isDue;",
        replace: "return phase === 'leading' || isDue;",
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'master/http/scheduled.test.ts',
      title:
        'the old state is not called current once the instant of an armed change has passed, until the change shows',
    },
  },
  {
    name: 'bound of the skew without the clock errors',
    guarantee: 'G16',
    edits: [
      {
        file: 'master/service/core/activations.ts',
        find: 'soonestMs = Math.min(soonestMs, report.exposedAtMs - report.errorMs);',
        replace: 'soonestMs = Math.min(soonestMs, report.exposedAtMs);',
      },
      {
        file: 'master/service/core/activations.ts',
        find: 'lastMs = Math.max(lastMs, report.exposedAtMs + report.errorMs);',
        replace: 'lastMs = Math.max(lastMs, report.exposedAtMs);',
      },
    ],
    caughtBy: { kind: 'test', file: traces, title: lopsided },
  },
  {
    name: 'switch reported with a tenth of the clock error',
    guarantee: 'G16',
    edits: [{ file: armed, find: 'errorMs: clockErrorMs ?? 0 };', replace: 'errorMs: (clockErrorMs ?? 0) / 10 };' }],
    caughtBy: { kind: 'test', file: traces, title: lopsided },
  },
];
