import type { Delta, Epoch, Peer } from '../../../shared/protocol/kernel/ids.js';
import { noEpoch } from '../../../shared/protocol/kernel/ids.js';
import type { Cancellation, Rejection, ScheduledOutcome } from '../../../shared/protocol/kernel/outcome.js';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import { Timers } from '../../../shared/protocol/kernel/timers.js';
import type { Message } from '../../../shared/protocol/wire/messages.js';
import type { MasterCoreEvents } from './events.js';
import type { HaltCode, MasterConfig, MasterEffect, MasterUserCall, Token, UserAnswer } from './io.js';
import type { MasterPhase } from './view.js';

export type MasterTimer =
  | 'survey'
  | 'claim'
  | 'claim again'
  | 'heartbeat'
  | 'retry'
  | 'deadline'
  | 'leases'
  | 'exposed'
  | 'gathering'
  | 'arming'
  | 'queued';

/** What the parts of a master's core share: the facts about its reign, and the way out for effects. */
export class MasterContext {
  readonly timers = new Timers<MasterTimer>();
  readonly random: Random;
  nowMs = 0;
  phase: MasterPhase = 'opening';
  /** The epoch that this master claimed or leads in. */
  epoch: Epoch = noEpoch;
  #effects: MasterEffect[] = [];
  #nextToken = 1;
  readonly #userCalls: { readonly call: MasterUserCall; readonly onAnswer: (answer: UserAnswer) => void }[] = [];
  #runningCall: { readonly token: Token; readonly onAnswer: (answer: UserAnswer) => void } | null = null;
  #lateCall = false;

  constructor(readonly config: MasterConfig) {
    this.random = seededRandom(config.seed);
  }

  /** The group's clock: milliseconds since 1970 by this master's reckoning. Only its monotonic clock moves it. */
  groupNowMs(): number {
    return this.nowMs + this.config.groupOffsetMs;
  }

  get durable(): boolean {
    return this.config.durability === 'disk';
  }

  get isLeading(): boolean {
    return this.phase === 'leading' || this.phase === 'closing';
  }

  token(): Token {
    return this.#nextToken++;
  }

  emit(effect: MasterEffect): void {
    this.#effects.push(effect);
  }

  takeEffects(): MasterEffect[] {
    const taken = this.#effects;
    this.#effects = [];
    return taken;
  }

  send(to: Peer | 'all', message: Message): void {
    this.emit({ kind: 'send', to, epoch: this.epoch, message });
  }

  /** What isn't to be durable is written nowhere: nobody would read it, and the core has it in memory. */
  persist(
    operations: readonly StoreOperation[],
    options: { readonly durable: boolean; readonly decided?: Delta; readonly activates?: boolean },
  ): Token {
    const token = this.token();
    this.emit({
      kind: 'persist',
      token,
      operations: options.durable ? operations : [],
      durable: options.durable,
      decided: options.decided ?? null,
      activates: options.activates ?? false,
    });
    return token;
  }

  settle(command: Token, result: ScheduledOutcome | Cancellation | Rejection | { readonly kind: 'done' }): void {
    this.emit({ kind: 'settle', command, result });
  }

  event<Name extends keyof MasterCoreEvents>(
    name: Name,
    level: MasterCoreEvents[Name]['level'],
    fields: MasterCoreEvents[Name]['fields'],
  ): void {
    this.emit({ kind: 'event', event: { name, level, fields } });
  }

  halt(code: HaltCode, text: string): void {
    this.phase = 'halted';
    this.timers.clearAll();
    this.emit({ kind: 'halt', code, text });
  }

  /** Calls the user layer: one call at a time, in order, each started when the one before it has really ended. */
  callUser(call: MasterUserCall, onAnswer: (answer: UserAnswer) => void): void {
    this.#userCalls.push({ call, onAnswer });
    this.#startCall();
  }

  onAnswered(token: Token, answer: UserAnswer): void {
    const running = this.#runningCall;
    if (running === null || running.token !== token) return;
    const first = !this.#lateCall;
    if (answer.kind === 'failed' && answer.late === true) {
      this.#lateCall = true;
      if (first) running.onAnswer(answer);
      return;
    }
    this.#runningCall = null;
    this.#lateCall = false;
    if (first) running.onAnswer(answer);
    this.#startCall();
  }

  #startCall(): void {
    if (this.#runningCall !== null) return;
    const next = this.#userCalls.shift();
    if (next === undefined) return;
    const token = this.token();
    this.#runningCall = { token, onAnswer: next.onAnswer };
    this.emit({ kind: 'callUser', token, call: next.call });
  }
}
