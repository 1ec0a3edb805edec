import type { Mutation } from './mutation.js';

const leadership = 'master/service/core/leadership.ts';
const reign = 'slave/service/core/reign.ts';
const rounds = 'master/service/core/rounds.ts';

/** What breaks G12: who may call itself current, and for how long. */
export const leaseMutations: readonly Mutation[] = [
  {
    name: 'a lease lent to the process before, by its slot',
    guarantee: 'G12',
    edits: [{ file: reign, find: 'heartbeat.sequence <= this.#strangeHeartbeats', replace: 'heartbeat.sequence < 0' }],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/unasked.test.ts',
      title: 'renews the lease of none by its slot who wasn’t welcomed yet when it left (G12)',
    },
  },
  {
    name: 'a lease counted from before the machine slept',
    guarantee: 'G12',
    edits: [{ file: reign, find: 'this.#mayEchoNothing = false;', replace: '' }],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/unasked.test.ts',
      title: 'renews no lease by what was heard before the machine slept (G12)',
    },
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
    caughtBy: { kind: 'checker', id: 'G12', seeds: 40 },
  },
  {
    name: 'leases of the silent not waited out',
    guarantee: 'G12',
    edits: [
      {
        file: rounds,
        find: 'this.members.leasesEndMs(round.yes)',
        replace: '0',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/leadership.test.ts',
      title: 'of a silent voter are waited out before "at least n" goes on without it',
    },
  },
  {
    name: 'the members count as all who may hold a lease',
    guarantee: 'G12',
    edits: [{ file: leadership, find: 'this.#lead(all && !this.#strangers);', replace: 'this.#lead(all);' }],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/older-leases.test.ts',
      title: 'commits nothing before the longest lease is over (G12)',
    },
  },
  {
    name: 'older leases not waited out by a new reign',
    guarantee: 'G12',
    edits: [{ file: rounds, find: 'this.listener.gateMs()', replace: '0' }],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/unheard.test.ts',
      title: 'commits nothing while a member that has not promised may still call itself current (G12)',
    },
  },
];
