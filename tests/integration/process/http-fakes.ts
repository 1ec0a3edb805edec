import type { ChainId, DataSetId, Delta, Digest, NodeId, Tip, Version } from '../../../shared/protocol/kernel/ids.js';
import { roundKey } from '../../../shared/protocol/kernel/ids.js';
import type { Cancellation } from '../../../shared/protocol/kernel/outcome.js';
import { LockstepError } from '../../../shared/protocol/kernel/errors.js';
import type { Entry, Json, Operation } from '../../../shared/protocol/key-value/operations.js';
import type { SlaveState } from '../../../shared/protocol/wire/messages.js';
import type { EventLog, EventRecord } from '../../../shared/runtime/ports.js';
import type { ServedOriginal } from '../../../master/http/api.js';
import type { MasterView, MemberView, RoundAccount } from '../../../master/service/core/view.js';
import type { ChangeOptions, ChangeOutcome, ScheduledChangeOutcome } from '../../../master/user/key-value-types.js';
import type { ServedCopy } from '../../../slave/http/api.js';
import type { SlaveView } from '../../../slave/service/core/view.js';
import { ExposedDeltas } from '../../../slave/service/exposed-deltas.js';
import { digestOf } from '../../../shared/protocol/kernel/digest.js';
import { encodeSegment } from '../../../shared/protocol/key-value/change-codec.js';

/** Stand-ins for the key-value handles: the HTTP routes and the commands are tested without a group. */

export const epoch = { number: 3, claimant: 'c'.repeat(32) };

export function tipAt(version: number): Tip {
  return { epoch, version: version as Version, chain: version.toString(16).padStart(32, '0') as ChainId };
}

export function nodeId(name: string): NodeId {
  return name as NodeId;
}

export class RecordingLog implements EventLog {
  readonly events: EventRecord[] = [];
  record(event: EventRecord): void {
    this.events.push(event);
  }
}

class Entries {
  readonly map = new Map<string, Entry<Json>>();

  list({
    prefix = '',
    after = '',
    limit = Infinity,
  }: { readonly prefix?: string; readonly after?: string; readonly limit?: number } = {}): readonly Entry<Json>[] {
    return [...this.map.values()]
      .filter((entry) => entry.key.startsWith(prefix) && entry.key > after)
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .slice(0, limit);
  }
}

export function memberView(node: string, changes: Partial<MemberView> = {}): MemberView {
  return {
    node: nodeId(node),
    slot: 0,
    incarnation: { storeId: 's'.repeat(32), start: 1 },
    live: true,
    state: 'current',
    tip: tipAt(1),
    behind: 0,
    behindMs: 0,
    heardMsAgo: 12.3456,
    lastVote: { version: 1, yes: true, reason: '' },
    lastVeto: null,
    votes: { yes: 1, no: 0 },
    inDoubt: 0,
    oldestInDoubtMs: null,
    roundTripMs: 0.25,
    repairs: 0,
    snapshots: 1,
    resyncs: { new: 1 },
    ...changes,
  };
}

export function roundAccount(version: number, changes: Partial<RoundAccount> = {}): RoundAccount {
  return {
    round: `3.cccccccc.${version}`,
    version,
    phases: 'two',
    startedAtMs: Date.UTC(2026, 10, 21, 12, 0, version),
    outcome: 'committed',
    reason: null,
    decidedMs: 1.23456,
    exposedMs: 2.5,
    operations: 1,
    bytes: 24,
    votes: [{ node: nodeId('a'), yes: true, reason: '', afterMs: 0.51234 }],
    missing: [],
    activation: null,
    ...changes,
  };
}

/** Commits whatever it is told, unless `answer` says otherwise. */
export class FakeOriginal implements ServedOriginal {
  readonly #entries = new Entries();
  readonly calls: { readonly operations: readonly Operation<Json>[]; readonly options: ChangeOptions }[] = [];
  readonly forgotten: string[] = [];
  readonly rolledBack: number[] = [];
  /** Newest first. */
  rounds: readonly RoundAccount[] = [];
  readonly remembered = new Map<string, ScheduledChangeOutcome | 'pending'>();
  view: MasterView = {
    phase: 'leading',
    epoch,
    tip: null,
    mayCommit: true,
    queued: 0,
    openRounds: [],
    armed: null,
    activation: null,
    members: [memberView('a'), memberView('b')],
    historyBytes: 0,
    oldestDelta: null,
  };
  version = 0;
  answer:
    ((operations: readonly Operation<Json>[]) => ScheduledChangeOutcome | Promise<ScheduledChangeOutcome>) | null =
    null;

  get tip(): Tip | null {
    return this.version === 0 ? null : tipAt(this.version);
  }
  get size(): number {
    return this.#entries.map.size;
  }
  readonly dataSet = {
    deltas: new ExposedDeltas(),
    view: (): MasterView => ({ ...this.view, tip: this.tip }),
    members: (): readonly MemberView[] => this.view.members,
    forget: async (node: string): Promise<void> => {
      if (!this.view.members.some((member) => member.node === node))
        throw new LockstepError('member-unknown', `no member ${node}`);
      this.forgotten.push(node);
    },
    rounds: (limit = Infinity): readonly RoundAccount[] => this.rounds.slice(0, limit),
    rollBack: async (version: number): Promise<void> => {
      const round = this.rounds.find((each) => each.version === version);
      if (round === undefined)
        throw new LockstepError('round-unknown', `no replication of version ${version} is under way`);
      if (round.outcome !== 'open') throw new LockstepError('already-decided', `version ${version} is decided`);
      this.rolledBack.push(version);
    },
    cancelActivation: async (version: number): Promise<Cancellation> => {
      if (this.view.armed?.version !== version)
        throw new LockstepError('round-unknown', `no scheduled change of version ${version} waits for its instant`);
      return this.cancellation ?? { kind: 'cancelled', version, durationMs: 3.21987 };
    },
  };
  /** What a cancellation ends in. */
  cancellation: Cancellation | null = null;
  entry(key: string): Entry<Json> | undefined {
    return this.#entries.map.get(key);
  }
  list(options?: Parameters<Entries['list']>[0]): readonly Entry<Json>[] {
    return this.#entries.list(options);
  }
  stateDigest(): Digest {
    return 'd'.repeat(32) as Digest;
  }
  change(
    operations: readonly Operation<Json>[],
    options?: ChangeOptions & { readonly activateAt?: undefined },
  ): Promise<ChangeOutcome>;
  change(operations: readonly Operation<Json>[], options: ChangeOptions): Promise<ScheduledChangeOutcome>;
  async change(operations: readonly Operation<Json>[], options: ChangeOptions = {}): Promise<ScheduledChangeOutcome> {
    this.calls.push({ operations, options });
    const outcome = await (this.answer === null ? this.#commit(operations) : this.answer(operations));
    if (options.idempotencyKey !== undefined) this.remembered.set(options.idempotencyKey, outcome);
    return outcome;
  }
  outcomeOf(idempotencyKey: string): ScheduledChangeOutcome | 'pending' | undefined {
    return this.remembered.get(idempotencyKey);
  }

  #commit(operations: readonly Operation<Json>[]): ChangeOutcome {
    this.version += 1;
    this.dataSet.deltas.push(deltaOf(this.version, operations));
    for (const operation of operations) {
      if ('put' in operation)
        this.#entries.map.set(operation.put[0], {
          key: operation.put[0],
          value: operation.put[1],
          version: this.version,
        });
      else this.#entries.map.delete(operation.delete);
    }
    return committed(this.version, operations.length);
  }
}

/** What leads to a version from the one below it. */
export function deltaOf(version: number, operations: readonly Operation<Json>[]): Delta {
  const keys = operations.map((operation) => ('put' in operation ? operation.put[0] : operation.delete));
  const values = operations.map((operation) => ('put' in operation ? operation.put[1] : null));
  const deletes = operations.flatMap((operation, position) => ('put' in operation ? [] : [position]));
  const bytes = encodeSegment({ keys, values, deletes });
  return { from: version === 1 ? null : tipAt(version - 1), to: tipAt(version), bytes, digest: digestOf(bytes) };
}

export function committed(version: number, operations: number): ChangeOutcome {
  return {
    kind: 'committed',
    tip: tipAt(version),
    votes: { yes: 2, no: 0, silent: 0 },
    durationMs: 1.23456,
    durable: true,
    operations,
  };
}

export function refused(node: string, reason: string, operations?: readonly number[]): ChangeOutcome {
  const refusal = { node: nodeId(node), reason, ...(operations === undefined ? {} : { operations }) };
  return { kind: 'aborted', reason: 'refused', refusals: [refusal], durationMs: 2 };
}

export class FakeCopy implements ServedCopy {
  readonly #entries = new Entries();
  version: number;
  state: SlaveState = 'current';
  master: string | null = 'master';
  discarded = 0;
  readonly #waiting: { readonly version: number; readonly done: (tip: Tip) => void }[] = [];

  constructor(entries: Readonly<Record<string, Json>>, version: number) {
    for (const [key, value] of Object.entries(entries)) this.#entries.map.set(key, { key, value, version });
    this.version = version;
    this.dataSet.deltas.begin(this.tip);
  }
  get tip(): Tip | null {
    return this.version === 0 ? null : tipAt(this.version);
  }
  /** Claims to hold this many entries. */
  claimedSize: number | null = null;
  get size(): number {
    return this.claimedSize ?? this.#entries.map.size;
  }
  inDoubt: SlaveView['inDoubt'] = [];
  resolved: SlaveView['resolved'] = [];
  lastVeto: SlaveView['lastVeto'] = null;
  clock: SlaveView['clock'] = null;
  armed: SlaveView['armed'] = null;
  /** Why the core doesn't let an operator decide. */
  resolveRefusal: string | null = null;
  readonly dataSet = {
    deltas: new ExposedDeltas(),
    view: (): SlaveView => ({
      state: this.state,
      tip: this.tip,
      heardOf: this.tip,
      promised: epoch,
      master: this.master === null ? null : nodeId(this.master),
      leaseUntilMs: 0,
      welcomed: true,
      inDoubt: this.inDoubt,
      armed: this.armed,
      resolved: this.resolved,
      behind: 0,
      behindMs: 0,
      lastVote: null,
      lastVeto: this.lastVeto,
      votes: { yes: 4, no: 0 },
      reason: this.state === 'current' ? '' : 'for a test',
      repairs: 0,
      snapshots: 0,
      resyncs: { new: 1 },
      clock: this.clock,
    }),
    discard: async (): Promise<void> => {
      this.discarded += 1;
    },
    resolve: async (name: string, outcome: 'committed' | 'aborted', by: string): Promise<void> => {
      if (this.resolveRefusal !== null) throw new LockstepError('bad-operation', this.resolveRefusal);
      const settled = this.inDoubt.filter(({ round }) => roundKey(round) === name);
      this.inDoubt = this.inDoubt.filter((each) => !settled.includes(each));
      this.resolved = [...this.resolved, ...settled.map(({ round, to }) => ({ round, to, outcome, by, wallMs: 0 }))];
    },
  };
  entry(key: string): Entry<Json> | undefined {
    return this.#entries.map.get(key);
  }
  list(options?: Parameters<Entries['list']>[0]): readonly Entry<Json>[] {
    return this.#entries.list(options);
  }
  stateDigest(): Digest {
    return 'e'.repeat(32) as Digest;
  }
  reached(version: number, options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<Tip> {
    if (options.timeoutMs === 0)
      return Promise.reject(new LockstepError('timed-out', `version ${version} was not reached within 0 ms`));
    return new Promise((done) => {
      this.#waiting.push({ version, done });
    });
  }
  get waiting(): number {
    return this.#waiting.length;
  }
  arrive(version: number): void {
    this.version = version;
    for (const waiter of this.#waiting.splice(0)) if (waiter.version <= version) waiter.done(tipAt(version));
  }
}

export function dataSetId(name: string): DataSetId {
  return name as DataSetId;
}
