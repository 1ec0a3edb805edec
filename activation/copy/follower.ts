import type { EventLog, Clock } from '../../shared/runtime/ports.js';
import { ClockJumps } from '../../shared/runtime/group-clock.js';
import { errorText } from '../../shared/protocol/kernel/errors.js';
import { invariant } from '../../shared/protocol/kernel/invariant.js';
import type { Content } from './content.js';
import type { Copies } from './copies.js';
import type { CycleCore } from './core/cycle-core.js';
import type { Activation, Cycle, CycleAnswer, CycleEffect, CycleInput, CycleStamps, CycleView } from './core/io.js';
import type { FetchRequest } from './remote-data-server.js';

export type RemoteResult =
  | { readonly ok: true; readonly answer: CycleAnswer; readonly stamps: CycleStamps; readonly content?: Content }
  | { readonly ok: false; readonly reason: string };

/** The data server, as a follower asks it: `done` is called once, later, never from inside the call. */
export interface Remote {
  ask(what: 'table' | 'roll', done: (result: RemoteResult) => void): void;
  fetch(request: FetchRequest, done: (result: RemoteResult) => void): void;
  /** What gets lost is lost: these are accounts, and nothing waits for them. */
  reportRetrieval(retrieval: { readonly cycle: Cycle; readonly durationMs: number }): void;
  reportActivation(activation: Activation): void;
}

export interface FollowerParts {
  readonly core: CycleCore;
  readonly copies: Copies;
  readonly remote: Remote;
  readonly clock: Clock;
  readonly log: EventLog;
  /** Readers see another content from now on. */
  readonly shown: (how: { readonly cycle: Cycle; readonly activation: Activation | null }) => void;
  /** Nothing can be stored any more. */
  readonly broken: (reason: string) => void;
}

/** Steps the core, does what it says, and wakes it when it wants to be: all effects of an input before the next input. */
export class Follower {
  readonly #parts: FollowerParts;
  readonly #jumps: ClockJumps;
  readonly #arrived = new Map<number, Content>();
  readonly #inputs: CycleInput[] = [];
  #draining = false;
  #stopped = false;
  /** What readers were told of. */
  #shown: Cycle | null = null;
  /** Of the step that is being carried out. */
  #activation: Activation | null = null;
  #cancelWake: () => void = () => undefined;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.#jumps = new ClockJumps(parts.clock);
  }

  start(): void {
    this.#shown = this.#parts.copies.held.active;
    this.#submit({ kind: 'start', held: this.#parts.copies.held });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelWake();
    this.#arrived.clear();
  }

  /**
   * Switches nothing, so that a reader who asks for it between two reads still reads one content. A reader may be the first to
   * notice that the machine slept: it must not be told "current" by a clock that stood.
   */
  view(): CycleView {
    const { core, clock } = this.#parts;
    const sleptMs = this.#draining || this.#stopped ? 0 : this.#jumps.takeMs();
    if (sleptMs > 0) {
      core.doubt(sleptMs, clock.monotonicMs());
      clock.soon(() => this.#submit({ kind: 'tick' }));
    }
    return core.view(clock.monotonicMs());
  }

  #submit(input: CycleInput): void {
    if (this.#stopped) return;
    this.#inputs.push(input);
    if (!this.#draining) this.#drain();
  }

  #drain(): void {
    const { core, clock } = this.#parts;
    this.#draining = true;
    try {
      const sleptMs = this.#jumps.takeMs();
      if (sleptMs > 0) this.#inputs.unshift({ kind: 'suspended', byMs: sleptMs });
      for (let input = this.#inputs.shift(); input !== undefined; input = this.#inputs.shift()) {
        this.#activation = null;
        for (const effect of core.step(input, clock.monotonicMs())) this.#execute(effect);
        if (this.#stopped) return;
        this.#tellShown(input);
      }
    } finally {
      this.#draining = false;
    }
    this.#cancelWake();
    const { atMs, isInstant } = core.nextWake(clock.monotonicMs());
    const wake = (): void => this.#submit({ kind: 'tick' });
    this.#cancelWake = isInstant ? clock.exactlyAt(atMs, wake) : clock.at(atMs, wake);
  }

  #tellShown(input: CycleInput): void {
    const { active } = this.#parts.copies.held;
    if ((input.kind !== 'exposed' && input.kind !== 'stored') || active === null || active === this.#shown) return;
    this.#shown = active;
    this.#parts.shown({ cycle: active, activation: this.#activation });
  }

  #execute(effect: CycleEffect): void {
    const { remote, copies, clock, log } = this.#parts;
    switch (effect.kind) {
      case 'ask':
        remote.ask(effect.what, (result) => this.#answered(effect.request, result));
        return;
      case 'fetch':
        remote.fetch(effect, (result) => this.#answered(effect.request, result));
        return;
      case 'store':
        this.#store(effect.request, effect.of);
        return;
      case 'expose': {
        copies.expose(effect.cycle, (error) => this.#written(error));
        this.#submit({ kind: 'exposed', held: copies.held, atMs: clock.monotonicMs() });
        return;
      }
      case 'reportRetrieval':
        remote.reportRetrieval(effect);
        return;
      case 'reportActivation':
        this.#activation = effect.activation;
        remote.reportActivation(effect.activation);
        return;
      case 'event': {
        const { name, level, fields } = effect;
        log.record({ name, level, fields });
        return;
      }
    }
  }

  #answered(request: number, result: RemoteResult): void {
    if (!result.ok) return this.#submit({ kind: 'failed', request, reason: result.reason });
    if (result.content !== undefined) this.#arrived.set(request, result.content);
    this.#submit({ kind: 'answered', request, answer: result.answer, stamps: result.stamps });
    // Whatever the core didn't take is not waited for.
    this.#arrived.delete(request);
  }

  #store(request: number, of: 'staged' | 'active'): void {
    const { copies } = this.#parts;
    const content = this.#arrived.get(request);
    invariant(content !== undefined, 'what is stored has arrived');
    const done = (error: Error | null): void => {
      if (error !== null) return this.#written(error);
      this.#submit({ kind: 'stored', request, held: copies.held });
    };
    if (of === 'staged') copies.stage(content, done);
    else copies.take(content, done);
  }

  #written(error: Error | null): void {
    if (error === null || this.#stopped) return;
    const reason = `the store failed: ${errorText(error)}`;
    this.#submit({ kind: 'broken', reason });
    this.#parts.broken(reason);
  }
}
