import { unreachable } from '../../../../shared/protocol/kernel/invariant.js';
import { endMismatch, mismatch, showEnd } from './check.js';
import type { Action, Scenario, Step } from './scenario.js';
import type { RunningChange, Stage } from './stage.js';
import { CannotStage } from './stage.js';

export interface StepResult {
  /** Null: the end that every scenario has. */
  readonly line: number | null;
  readonly text: string;
  readonly ok: boolean;
  /** What was found; of a step that failed, why. */
  readonly remark: string;
}

export interface Played {
  /** `impossible`: a step that this stage has no means for. */
  readonly result: 'passed' | 'failed' | 'impossible';
  readonly steps: readonly StepResult[];
}

/** What isn't as the step says. */
class Unexpected extends Error {
  override readonly name = 'Unexpected';
}

/** A change that nobody waits for any more ends by its own deadline; this is beyond it. */
const changePatienceMs = 60_000;

/** Plays the steps in order until one fails. `tell` hears each as it ends. */
export async function play(
  scenario: Scenario,
  stage: Stage,
  tell: (result: StepResult) => void = () => undefined,
): Promise<Played> {
  const steps: StepResult[] = [];
  const told = (result: StepResult): StepResult => {
    steps.push(result);
    tell(result);
    return result;
  };
  const player = new Player(scenario, stage);
  for (const step of scenario.steps) {
    const text = step.note === null ? step.text : `${step.text} (${step.note})`;
    try {
      told({ line: step.line, text, ok: true, remark: await player.perform(step) });
    } catch (error) {
      if (!(error instanceof Unexpected || error instanceof CannotStage)) throw error;
      told({ line: step.line, text, ok: false, remark: error.message });
      return { result: error instanceof CannotStage ? 'impossible' : 'failed', steps };
    }
  }
  const last = told(await player.end());
  return { result: last.ok ? 'passed' : 'failed', steps };
}

class Player {
  readonly #scenario: Scenario;
  readonly #stage: Stage;
  readonly #changes = new Map<string, RunningChange>();

  constructor(scenario: Scenario, stage: Stage) {
    this.#scenario = scenario;
    this.#stage = stage;
  }

  /** What is worth saying of a step that went well. Throws `Unexpected` or `CannotStage`. */
  async perform({ action }: Step): Promise<string> {
    const stage = this.#stage;
    switch (action.kind) {
      case 'start':
        for (const node of this.#nodes(action.nodes)) await stage.start(node, action.crashAt);
        return '';
      case 'kill':
        for (const node of this.#nodes(action.nodes)) await stage.kill(node);
        return '';
      case 'twin':
        await stage.twin(action.of, action.as);
        return '';
      case 'ready':
        return this.#ready(this.#nodes(action.nodes), action.withinMs);
      case 'change':
        return this.#change(action);
      case 'outcome':
        return this.#outcome(action);
      case 'veto':
        await stage.veto(action.veto);
        return '';
      case 'accept':
        await stage.accept(action.node);
        return '';
      case 'misbehave':
        await stage.misbehave(action.misbehaviour);
        return '';
      case 'drop':
      case 'hold':
        await stage.intercept(action.as, action.kind, action.match);
        return '';
      case 'release':
        await stage.release(action.name);
        return '';
      case 'partition':
        await stage.partition(this.#nodes(action.one), this.#nodes(action.other));
        return '';
      case 'heal':
        await stage.heal();
        return '';
      case 'disk':
        await stage.failDisk(action.node);
        return '';
      case 'crash before':
        await stage.crashBefore(action.node, action.message);
        return '';
      case 'crash at':
        await stage.crashAt(action.node, action.moment);
        return '';
      case 'wait':
        await stage.pass(action.ms);
        return '';
      case 'mark':
        await stage.mark();
        return '';
      case 'expect':
        return this.#expect(action);
      default:
        return unreachable(action);
    }
  }

  /** Faults end, everybody converges, and whatever watched the run is content. */
  async end(): Promise<StepResult> {
    const converges = this.#scenario.ending === 'converged';
    const apart = converges ? await this.#stage.converge() : null;
    const findings = this.#stage.findings();
    const remark = [...(apart === null ? [] : [apart]), ...findings].join('; ');
    const text = converges ? 'in the end everybody is at one state' : 'in the end it is as it is';
    return { line: null, text, ok: remark === '', remark };
  }

  #nodes(named: readonly string[]): readonly string[] {
    const slaves = Array.from({ length: this.#scenario.slaves }, (_, index) => `s${index + 1}`);
    return named.flatMap((name) => (name === 'all' ? ['master', ...slaves] : name === 'slaves' ? slaves : [name]));
  }

  async #ready(nodes: readonly string[], withinMs: number): Promise<string> {
    const startedMs = this.#stage.nowMs;
    let waiting = '';
    const ready = await this.#stage.until(async () => {
      for (const node of nodes) {
        const account = await this.#stage.account(node);
        if (account?.ready === true) continue;
        waiting = `${node} is ${account?.state ?? 'down'}`;
        return false;
      }
      return true;
    }, withinMs);
    if (!ready) throw new Unexpected(`not within ${withinMs} ms: ${waiting}`);
    return this.#after(startedMs);
  }

  async #change(action: Extract<Action, { kind: 'change' }>): Promise<string> {
    const running = await this.#stage.change(action.request);
    if (action.as !== null) {
      this.#changes.set(action.as, running);
      return '';
    }
    await this.#stage.until(async () => running.end !== null, changePatienceMs);
    return this.#ended(running, action.expect);
  }

  async #outcome(action: Extract<Action, { kind: 'outcome' }>): Promise<string> {
    const running = this.#changes.get(action.of);
    if (running === undefined) throw new Unexpected(`no change was started as '${action.of}'`);
    await this.#stage.until(async () => running.end !== null, action.withinMs);
    return this.#ended(running, action.expect);
  }

  #ended(running: RunningChange, expected: Parameters<typeof endMismatch>[1]): string {
    const found = endMismatch(running.end, expected);
    if (found !== null) throw new Unexpected(found);
    return running.end === null ? '' : showEnd(running.end);
  }

  async #expect({ expectation }: Extract<Action, { kind: 'expect' }>): Promise<string> {
    const nodes = this.#nodes(expectation.nodes);
    const { throughoutMs, withinMs } = expectation;
    const startedMs = this.#stage.nowMs;
    let found: string | null = null;
    if (throughoutMs !== null) {
      const broken = await this.#stage.until(async () => {
        found = await mismatch(this.#stage, expectation, nodes);
        return found !== null;
      }, throughoutMs);
      if (broken) throw new Unexpected(`${found ?? ''}, ${this.#after(startedMs)}`);
      return '';
    }
    const holds = await this.#stage.until(async () => {
      found = await mismatch(this.#stage, expectation, nodes);
      return found === null;
    }, withinMs);
    if (!holds) throw new Unexpected(`${found ?? ''}, ${withinMs} ms later`);
    return this.#after(startedMs);
  }

  #after(startedMs: number): string {
    return `after ${Math.round(this.#stage.nowMs - startedMs)} ms`;
  }
}
