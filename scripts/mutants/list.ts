import { clockMutations } from './clock.js';
import { scheduledMutations } from './scheduled.js';
import { cycleMutations } from './cycle.js';
import { cycleCopyMutations } from './cycle-copies.js';
import { leaseMutations } from './leases.js';
import type { Mutation } from './mutation.js';
import { wayAndFolderMutations } from './ways-and-folders.js';

const slaveCore = 'slave/service/core/slave-core.ts';
const packets = 'slave/service/core/packets.ts';
const inDoubt = 'slave/service/core/in-doubt.ts';
const participant = 'slave/service/core/participant.ts';
const reign = 'slave/service/core/reign.ts';
const rounds = 'master/service/core/rounds.ts';
const leadership = 'master/service/core/leadership.ts';
const serving = 'master/service/core/serving.ts';
const history = 'master/service/core/history.ts';
const keyedSeal = 'shared/protocol/secure/keyed-seal.ts';
const keyedSealTest = 'shared/protocol/secure/keyed-seal.test.ts';
const delivery = 'master/service/core/delivery.ts';

/** Every deliberate break that is known, and what has to catch it. `npm run mutants` sees each of them caught. */
export const mutations: readonly Mutation[] = [
  ...leaseMutations,
  ...wayAndFolderMutations,
  ...clockMutations,
  ...scheduledMutations,
  ...cycleMutations,
  ...cycleCopyMutations,
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
    caughtBy: { kind: 'checker', id: 'G2', seeds: 40 },
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
        acknowledge: false,
      });`,
      },
    ],
    caughtBy: { kind: 'checker', id: 'G3', seeds: 40 },
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
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/late-and-foreign.test.ts',
      title: 'changes nothing at a slave by its',
    },
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
    caughtBy: { kind: 'checker', id: 'G8', seeds: 40 },
  },
  {
    name: 'a yes is missing',
    guarantee: 'G1',
    edits: [
      {
        file: rounds,
        find: 'if (round.yes.size < round.voters.size && !round.without) break;',
        replace: 'if (round.yes.size < Math.min(1, round.voters.size) && !round.without) break;',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G1', seeds: 40 },
  },
  {
    name: 'too few said yes by the deadline',
    guarantee: 'G1',
    edits: [
      {
        file: rounds,
        find: "typeof voters === 'number' && round.yes.size >= voters",
        replace: "typeof voters === 'number' && round.yes.size >= 0",
      },
    ],
    caughtBy: { kind: 'checker', id: 'G1', seeds: 40 },
  },
  {
    name: 'open round served to who catches up',
    guarantee: 'G1',
    edits: [
      {
        file: serving,
        find: 'if (steps !== null) return this.#sendSteps(from, request, steps, `deltas ${tipKey(request.from)}`);',
        replace: `if (steps !== null) {
      const open = this.rounds.open.map(({ change }) => change);
      return this.#sendSteps(from, request, [...steps, ...open], \`deltas \${tipKey(request.from)}\`);
    }`,
      },
    ],
    caughtBy: { kind: 'checker', id: 'G1', seeds: 40 },
  },
  {
    name: 'heartbeat names a state that is not durable',
    guarantee: 'G3',
    edits: [
      {
        file: history,
        find: 'const history: HistoryRecord = { ordinal, delta };',
        replace: `const history: HistoryRecord = { ordinal, delta };
    this.tip = delta.to;`,
      },
    ],
    caughtBy: { kind: 'checker', id: 'G3', seeds: 40 },
  },
  {
    name: 'prepare called back without a release',
    guarantee: 'G6',
    edits: [
      {
        file: participant,
        find: "this.work.push({ kind: 'abort', to, why: 'aborted', operations: [this.#removal(round)] });",
        replace: 'this.context.persist([this.#removal(round)], false);',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G6', seeds: 40 },
  },
  {
    name: 'prepared record gone before its commit',
    guarantee: 'G6',
    edits: [
      {
        file: participant,
        find: 'this.#commit(change, [this.#removal(round)], scheduled);',
        replace: `this.context.persist([this.#removal(round)], this.context.durable);
      this.#commit(change, [], scheduled);`,
      },
    ],
    caughtBy: { kind: 'checker', id: 'G6', seeds: 40 },
  },
  {
    name: 'heartbeats start no catching up',
    guarantee: 'G9',
    edits: [
      {
        file: slaveCore,
        find: 'this.#catchUp.onHeartbeatTip(heartbeat.tip, heartbeat.arming?.to ?? null);',
        replace:
          'if (sameTip(heartbeat.tip, this.#participant.tip)) this.#catchUp.onHeartbeatTip(heartbeat.tip, heartbeat.arming?.to ?? null);',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G9', seeds: 40 },
  },
  {
    name: 'others hold more, and it leads',
    guarantee: 'G13',
    edits: [
      {
        file: leadership,
        find: 'if (this.context.config.resetGroup) return false;',
        replace: 'if (!this.context.config.resetGroup || copies.length > 0) return false;',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G13', seeds: 40 },
  },
  {
    name: 'decision written without being durable',
    guarantee: 'G14',
    edits: [
      {
        file: rounds,
        find: 'durable: this.context.durable,\n        decided: round.change,',
        replace: 'durable: false,\n        decided: round.change,',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G14', seeds: 40 },
  },
  {
    name: 'abort only to those that said yes',
    guarantee: 'G6',
    edits: [
      {
        file: delivery,
        find: "message.kind === 'abort' ? this.members.all : [...round.voters.values()]",
        replace: '[...round.voters.values()].filter(({ slot }) => round.yes.has(slot))',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/rounds.test.ts',
      title: 'delivers an abort by unicast',
    },
  },
  {
    name: 'floor of open rounds ignored',
    guarantee: 'G6',
    edits: [
      {
        file: packets,
        find: 'if (prepare.round < this.lowestOpenRound) return true;',
        replace: 'if (prepare.round < 0) return true;',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/floor.test.ts',
      title: 'keeps out a prepare of a settled round whose outcome was never heard',
    },
  },
  {
    name: 'no record taken for an abort in a foreign reign',
    guarantee: 'G1',
    edits: [{ file: serving, find: "return 'unknown';", replace: "return 'aborted';" }],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/in-doubt.test.ts',
      title: 'of a foreign reign is for no other master to say: "no record" is no abort there',
    },
  },
  {
    name: 'epoch used before it is durable',
    guarantee: 'G7',
    edits: [
      {
        file: leadership,
        find: "this.context.phase = 'claiming';",
        replace: `this.context.phase = 'claiming';
    this.context.epoch = epoch;
    this.#sendClaim();`,
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/order-of-writes.test.ts',
      title: 'no epoch is claimed before it is on disk: two starts never claim the same one (G7)',
    },
  },
  {
    name: 'late announcement taken',
    guarantee: 'G5',
    edits: [
      {
        file: packets,
        find: 'versionOf(announce.to) < versionOf(this.participant.planned)',
        replace: 'versionOf(announce.to) < 0',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/late-and-foreign.test.ts',
      title: 'of an earlier version that comes late does not take the copy back (G5)',
    },
  },
  {
    name: 'commit left out for a prepare that does not say it',
    guarantee: 'G9',
    edits: [
      {
        file: delivery,
        find: "message.kind === 'prepare' && sameTip(message.committed, commit.to)",
        replace: "message.kind === 'prepare'",
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'master/service/master-service.test.ts',
      title: 'keep it, and its place before the prepare, when that names an earlier state as committed',
    },
  },
  {
    name: 'nothing lingers for the caller who was told',
    guarantee: 'G10',
    edits: [
      {
        file: 'shared/runtime/node.ts',
        find: 'if (!this.#gathering && (!this.#lingering || wasLingering)) this.flush();',
        replace: 'if (!this.#lingering || wasLingering || this.#unsent) this.flush();',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'shared/runtime/node.test.ts',
      title: 'lets what was sent linger until the caller who was told has gone on, and sends both in one go',
    },
  },
  {
    name: 'a wake-up is lost',
    guarantee: 'G9',
    edits: [{ file: 'shared/runtime/node.ts', find: '        this.#rearm();\n', replace: '' }],
    caughtBy: {
      kind: 'test',
      file: 'shared/runtime/node.test.ts',
      title: 'keeps one timer for all, and forgets no deadline of a participant that had nothing to do',
    },
  },
  {
    name: 'an operator decides before it is on record',
    guarantee: 'G1',
    edits: [
      {
        file: inDoubt,
        find: "    const put = { kind: 'put', key: slaveKeys.resolved",
        replace:
          "    this.participant.resolve(round, outcome);\n    const put = { kind: 'put', key: slaveKeys.resolved",
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/resolve.test.ts',
      title: 'is recorded durably before it is carried out',
    },
  },
  {
    name: "an operator's word passed on as a master's",
    guarantee: 'G1',
    edits: [
      {
        file: participant,
        find: '      staged.byOperator = true;',
        replace:
          '      staged.byOperator = true;\n      this.#remember({ round: staged.round, to: staged.change.to, outcome });',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/resolve.test.ts',
      title: 'is told to no other slave: no master said it',
    },
  },
  {
    name: "an operator's word forgotten by a crash",
    guarantee: 'G6',
    edits: [{ file: slaveCore, find: '    this.#inDoubt.recover();\n', replace: '' }],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/resolve.test.ts',
      title: 'is carried out after a crash that came between the record and its end',
    },
  },
  {
    name: 'an operator overrules a master that is heard',
    guarantee: 'G1',
    edits: [
      {
        file: inDoubt,
        find: 'this.context.hearsMaster() && master !== null &&',
        replace: 'this.context.hearsMaster() && master === null &&',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/resolve.test.ts',
      title: 'is shown with its age and how many voted, and is nobody else’s while a master that may know is heard',
    },
  },
  {
    name: 'one yes too few is enough',
    guarantee: 'G1',
    edits: [
      {
        file: rounds,
        find: 'if (round.yes.size < round.voters.size && !round.without) break;',
        replace: 'if (round.yes.size < round.voters.size - 1 && !round.without) break;',
      },
    ],
    caughtBy: { kind: 'checker', id: 'G1', seeds: 40 },
  },
  {
    name: 'far behind, and a voter all the same',
    guarantee: 'G12',
    edits: [
      {
        file: 'master/service/core/members.ts',
        find: '(this.history.distance(member.status.tip) ?? Infinity) > limits.voterLagVersions',
        replace: '(this.history.distance(member.status.tip) ?? Infinity) > Infinity',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/voters.test.ts',
      title: 'far behind is no voter and gets no lease: it slows nobody, and says that it is behind',
    },
  },
  {
    name: 'an acknowledgement that nobody waits for is never sent',
    guarantee: 'G9',
    edits: [
      {
        file: reign,
        find: "} else this.context.timers.setEarlier('acknowledgement', this.context.nowMs + limits.acknowledgeMs);",
        replace: '}',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/rounds.test.ts',
      title: 'is acknowledged at once when somebody waits for it, and otherwise many at a time',
    },
  },
  {
    name: 'what a member lacks is counted one too low',
    guarantee: 'G10',
    edits: [
      {
        file: 'master/service/core/members.ts',
        find: 'return shown === null || held === null ? (shown ?? held) : Math.min(shown, held);',
        replace: `const lacks = shown === null || held === null ? (shown ?? held) : Math.min(shown, held);
    return lacks === null ? null : Math.max(0, lacks - 1);`,
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/packets.test.ts',
      title: 'are chosen by size and by what the group lacks',
    },
  },
  {
    name: 'who was forgotten never joins again',
    guarantee: 'G9',
    edits: [
      {
        file: reign,
        find: 'if (this.context.slot !== null && this.context.nowMs - sinceMs > 2 * this.context.leaseMs) {',
        replace: 'if (this.context.slot !== null && this.context.nowMs - sinceMs > Infinity) {',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'tests/integration/traces/voters.test.ts',
      title: 'that was forgotten while it was away joins again by itself, and votes',
    },
  },
  {
    name: 'the replay window moves before the tag is checked',
    guarantee: 'G11',
    edits: [
      {
        file: keyedSeal,
        find: "if (known?.window.isFresh(sequence) === false) return 'replayed';",
        replace: `if (known?.window.isFresh(sequence) === false) return 'replayed';
    known?.window.take(sequence);`,
      },
    ],
    caughtBy: {
      kind: 'test',
      file: keyedSealTest,
      title: 'a forged datagram of a huge sequence does not lock out the real sender',
    },
  },
  {
    name: 'no signature is asked for',
    guarantee: 'G11',
    edits: [
      {
        file: keyedSeal,
        find: 'if (!isSignedFor(context.message, this.#keys.role)) return null;',
        replace: 'if (context !== null) return null;',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: keyedSealTest,
      title: 'a signature that is made up, or taken from another message, is no signature',
    },
  },
  {
    name: "an older process's packets are let through",
    guarantee: 'G11',
    edits: [
      {
        file: 'shared/protocol/stream/endpoint.ts',
        find: 'const frames = opened.isOlder ? this.#ofOlder(decoded.frames) : decoded.frames;',
        replace: 'const frames = decoded.frames;',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: keyedSealTest,
      title: 'what an earlier process of a store sent is refused once a later one was heard',
    },
  },
  {
    name: 'a stream needs no proof',
    guarantee: 'G11',
    edits: [
      {
        file: 'shared/runtime/tcp-fetch.ts',
        find: "let mustProve = keys?.role === 'slave';",
        replace: 'let mustProve = false;',
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'shared/runtime/tcp-secure.test.ts',
      title: "a holder of a slave's key serves no slave",
    },
  },
  {
    name: 'a repair of what went to one tells the group',
    guarantee: 'G10',
    edits: [
      {
        file: 'shared/protocol/stream/resend-buffer.ts',
        find: "concernsAll || sent.destination !== 'group' ? sent.destination : first",
        replace: "concernsAll ? 'group' : first",
      },
    ],
    caughtBy: {
      kind: 'test',
      file: 'shared/protocol/stream/endpoint.test.ts',
      title: 'to one alone is repaired to that one alone, with its end lost, and asked for by nobody else (G10)',
    },
  },
];
