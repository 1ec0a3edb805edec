import type { Mutation } from './mutation.js';

const slaveCore = 'slave/service/core/slave-core.ts';
const packets = 'slave/service/core/packets.ts';
const participant = 'slave/service/core/participant.ts';
const reign = 'slave/service/core/reign.ts';
const rounds = 'master/service/core/rounds.ts';

/** Every deliberate break that is known, and what has to catch it. `npm run mutants` sees each of them caught. */
export const mutations: readonly Mutation[] = [
  {
    name: 'vote before durable',
    guarantee: 'G2',
    edits: [
      {
        file: participant,
        find: "this.#become(staged, 'writing');",
        replace: `this.#become(staged, 'writing');
      this.vote(round, to, { upToDate: true, canProcess: true, reason: '', refused: [] });`,
      },
    ],
    caughtBy: { kind: 'checker', id: 'G2', seeds: 20 },
  },
  {
    name: 'commit before durable decision',
    guarantee: 'G3',
    edits: [
      {
        file: rounds,
        find: "round.phase = 'deciding';",
        replace: `round.phase = 'deciding';
      this.context.send('all', {
        kind: 'commit',
        round: { epoch: this.context.epoch, number: round.number },
        to: round.change.to,
        lowestOpenRound: this.lowestOpen,
      });`,
      },
    ],
    caughtBy: { kind: 'checker', id: 'G3', seeds: 20 },
  },
  {
    name: 'epoch check skipped',
    guarantee: 'G7',
    // Any other reign is obeyed as if it were a newer one.
    edits: [
      {
        file: slaveCore,
        find: 'const order = compareEpochs(epoch, this.#context.promised);',
        replace: 'const order = compareEpochs(epoch, this.#context.promised) === 0 ? 0 : 1;',
      },
      {
        file: reign,
        find: 'if (this.#promising !== null && compareEpochs(epoch, this.#promising.epoch) <= 0) return;',
        replace: 'if (this.#promising !== null) return;',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G7', seeds: 20, args: ['--take-over'] },
  },
  {
    name: 'prior check skipped',
    guarantee: 'G8',
    edits: [
      {
        file: packets,
        find: "if (sameTip(prepare.from, this.participant.top)) return 'top';",
        replace: "if (prepare.to !== null) return 'top';",
      },
      {
        file: participant,
        find: 'return change.from === null || sameTip(from, top);',
        replace: 'return change.from === null || from !== top || from === top;',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G8', seeds: 20 },
  },
  {
    name: 'lease renewed for a state that is not exposed',
    guarantee: 'G12',
    edits: [
      {
        file: reign,
        find: 'if (sameTip(heartbeat.tip, this.participant.tip)) this.leaseUntilMs',
        replace: 'if (heartbeat.leaseMs > 0) this.leaseUntilMs',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G12', seeds: 60 },
  },
];
