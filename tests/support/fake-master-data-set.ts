import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { Delta, Epoch, NodeId, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import { versionOf } from '../../shared/protocol/kernel/ids.js';
import type { AbortReason, NodeRefusal, Outcome, ScheduledOutcome } from '../../shared/protocol/kernel/outcome.js';
import type { ArmedView, MasterView } from '../../master/service/core/view.js';
import type { Instant, MasterDataSet, ReplicateOptions } from '../../master/types.js';
import type { MasterUserLayer } from '../../master/user/contract.js';
import type { DeltaSource } from '../../shared/runtime/delta-source.js';
import type { FakeStore } from './fake-store.js';

export const epoch: Epoch = { number: 1, claimant: 'c'.repeat(32) };

export function refusal(node: string, reason: string, operations?: readonly number[]): NodeRefusal {
  return { node: node as NodeId, reason, ...(operations === undefined ? {} : { operations }) };
}

interface Round {
  readonly options: ReplicateOptions;
  readonly delta: Delta;
  settle(outcome: ScheduledOutcome): void;
  fail(error: Error): void;
}

/** A data set at a master whose outcomes a test writes: rounds stay open until it commits or aborts them. */
export class FakeMasterDataSet implements MasterDataSet {
  readonly name = 'prices';
  tip: Tip | null = null;
  armed: ArmedView | null = null;
  readonly deltas: DeltaSource = {
    tip: null,
    oldestVersion: null,
    breaks: 0,
    after: () => [],
    tipAt: () => null,
    listen: () => () => undefined,
  };
  groupNowMs = 1_796_119_200_000;
  /** Rounds in flight, oldest first. */
  readonly open: Round[] = [];
  /** All that was ever asked for, in order. */
  readonly asked: ReplicateOptions[] = [];
  disposed = false;
  readonly committed: Delta[] = [];
  readonly #layer: MasterUserLayer;
  readonly #store: FakeStore;

  constructor(parts: { readonly layer: MasterUserLayer; readonly store: FakeStore }) {
    this.#layer = parts.layer;
    this.#store = parts.store;
  }

  instantOf(instant: Instant): number {
    if (typeof instant === 'number') return instant;
    return instant instanceof Date ? instant.getTime() : this.groupNowMs + instant.inMs;
  }

  cancelActivation(): never {
    throw new Error('not scripted');
  }

  replicate(options: ReplicateOptions & { readonly activateAt?: undefined }): Promise<Outcome>;
  replicate(options: ReplicateOptions): Promise<ScheduledOutcome>;
  replicate(options: ReplicateOptions): Promise<ScheduledOutcome> {
    this.asked.push(options);
    const newest = this.open.at(-1)?.delta.to ?? this.tip;
    if (options.prior !== versionOf(newest)) {
      return Promise.reject(
        new LockstepError('prior-not-current', `prior is ${versionOf(newest)}, not ${String(options.prior)}`),
      );
    }
    const delta = issueDelta(newest, epoch, options.version as Version, options.delta ?? new Uint8Array());
    return new Promise((settle, fail) => {
      this.open.push({ options, delta, settle, fail });
      options.signal?.addEventListener('abort', () =>
        this.abort(
          'cancelled',
          [],
          this.open.findIndex((round) => round.delta === delta),
        ),
      );
    });
  }

  /** The decision, and with it the layer's part of the transaction. Always the oldest round. */
  async commit(): Promise<void> {
    const round = this.open[0];
    if (round === undefined) throw new Error('no round is open');
    await this.expose();
    this.settleCommitted(round);
    await turn();
  }

  /** The first half of `commit`: durable and shown, and the outcome not told yet. */
  async expose(): Promise<Round> {
    const round = this.open.shift();
    if (round === undefined) throw new Error('no round is open');
    await new Promise<void>((resolve, reject) => {
      this.#store.write(
        (transaction) => this.#layer.shared?.write(round.delta, transaction),
        { durable: true },
        (error) => (error === null ? resolve() : reject(error)),
      );
    });
    this.tip = round.delta.to;
    this.committed.push(round.delta);
    this.#layer.shared?.expose(round.delta);
    return round;
  }

  settleCommitted(round: Round): void {
    round.settle({
      kind: 'committed',
      tip: round.delta.to,
      votes: { yes: 2, no: 0, silent: 0 },
      durationMs: 3,
      durable: true,
    });
  }

  /** Armed everywhere: its caller is told, and it waits for its instant. */
  async arm(): Promise<void> {
    const round = this.open[0];
    if (round === undefined) throw new Error('no round is open');
    const { version } = round.delta.to;
    const activateAtMs = this.instantOf(round.options.activateAt ?? 0);
    const arming = { armed: 2, of: 2, missing: [] };
    const tip = round.delta.to;
    const at = {
      round: { epoch, number: 1 },
      tip,
      version,
      activateAtMs,
      inMs: 1,
      phase: 'armed',
      voters: [],
    } as const;
    this.armed = { ...at, ...arming };
    const votes = { yes: 2, no: 0, silent: 0 };
    round.settle({ kind: 'armed', tip, activateAtMs, votes, arming, durationMs: 1, durable: true });
    await turn();
  }

  /** Its instant has come. */
  async activate(): Promise<void> {
    this.armed = null;
    await this.expose();
    await turn();
  }

  /** It was taken back everywhere. */
  async withdraw(): Promise<void> {
    const round = this.open.shift();
    this.armed = null;
    await this.#layer.restore(this.tip, round === undefined ? [] : [round.delta.to.version]);
    await turn();
  }

  /** Aborts a round and, as the service does, those on top of it, newest first. */
  abort(reason: AbortReason, refusals: readonly NodeRefusal[] = [], place = 0): void {
    const [round, ...above] = this.open.splice(place);
    for (const each of above.reverse())
      each.settle({ kind: 'aborted', reason: 'prior aborted', refusals: [], durationMs: 1 });
    round?.settle({ kind: 'aborted', reason, refusals, durationMs: 1 });
  }

  /** Decides open rounds by `judge` until none is left. */
  async run(judge: (delta: Delta) => readonly NodeRefusal[]): Promise<void> {
    for (await turn(); this.open.length > 0; await turn()) {
      const [round] = this.open;
      const refusals = round === undefined ? [] : judge(round.delta);
      if (refusals.length === 0) await this.commit();
      else this.abort('refused', refusals);
    }
  }

  leading(): Promise<void> {
    return Promise.resolve();
  }

  rollBack(): Promise<void> {
    return Promise.reject(new Error('not part of this fake'));
  }

  forget(): Promise<void> {
    return Promise.reject(new Error('not part of this fake'));
  }

  members(): readonly [] {
    return [];
  }

  rounds(): readonly [] {
    return [];
  }

  view(): MasterView {
    throw new Error('not part of this fake');
  }

  unregister(): Promise<void> {
    return this[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true;
    while (this.open.length > 0) this.abort('unregistered', [], this.open.length - 1);
    return Promise.resolve();
  }
}

/** Lets everything that is due by promises happen; no time passes. */
export async function turn(): Promise<void> {
  for (let count = 0; count < 20; count += 1) await Promise.resolve();
}
