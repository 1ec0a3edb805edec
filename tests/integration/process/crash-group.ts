import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { OutcomeBody, StatusBody } from '../../../shared/http/bodies.js';
import type { CrashPointName } from '../../../shared/runtime/crash-points.js';
import { crashPointVariable, deathLine } from '../../../shared/runtime/crash-points.js';
import type { LockstepProcess } from './lockstep-process.js';
import { eventually, ProcessGroup } from './lockstep-process.js';

export type NodeName = 'master' | 'a' | 'b';
export type ChangeKind = 'two phases' | 'one phase' | 'refused' | 'scheduled';

export const nodeNames = ['master', 'a', 'b'] as const;

/** Short, so that a killed voter is soon no voter any more. */
const leaseMs = 1000;
const roundMs = 600;
/** Long, for a machine on which much else runs: nothing is judged by how long it took. */
const deadlineMs = 45_000;

/** So far ahead that there is time to vote and to arm, on a machine on which much else runs. */
const scheduleMs = 2 * leaseMs + roundMs;

const waysOf: Readonly<Record<ChangeKind, object>> = {
  'two phases': { phases: 'two' },
  'one phase': { phases: 'one' },
  refused: { phases: 'two' },
  scheduled: { phases: 'two', activateAt: `+${scheduleMs}ms` },
};

/** Slave b refuses what is marked, so that a said yes and learns of an abort. */
const rules = `export function validate(operation) {
  return 'put' in operation && operation.put[1].refuse === true ? 'marked to be refused' : true;
}
`;

interface Life {
  readonly process: LockstepProcess;
  readonly point: CrashPointName | null;
}

/**
 * A master and two slaves as real processes, whose every change is remembered with its outcome. Each node has the same
 * store and parameters in each of its lives, until the master gets another store.
 */
export class CrashGroup implements AsyncDisposable {
  readonly #processes: ProcessGroup;
  readonly #lives = new Map<NodeName, Life>();
  #masterParameters: readonly string[] = ['--store', './data/master-1'];
  #masterStores = 1;
  #nextKey = 1;
  /** Keys by what the caller was told. What was cut off may be there or not, everywhere alike. */
  #acknowledged: string[] = [];
  #aborted: string[] = [];

  private constructor(processes: ProcessGroup) {
    this.#processes = processes;
  }

  static async start(): Promise<CrashGroup> {
    const group = new CrashGroup(await ProcessGroup.start());
    await writeFile(join(group.#processes.folder, 'rules.mjs'), rules);
    for (const name of nodeNames) group.boot(name);
    await group.changed('two phases');
    return group;
  }

  get acknowledged(): number {
    return this.#acknowledged.length;
  }

  /** Starts the process, and waits for nothing. */
  boot(name: NodeName, armed: { readonly point: CrashPointName; readonly occurrence?: number } | null = null): void {
    if (this.#lives.get(name)?.process.running === true) throw new Error(`${name} runs already`);
    const env = { [crashPointVariable]: armed === null ? '' : `${armed.point}:${armed.occurrence ?? 1}` };
    const common = ['--group', this.#processes.group, '--http', '127.0.0.1:0', '--log-level', 'warn'];
    const own =
      name === 'master'
        ? ['master', '--lease', `${leaseMs}ms`, '--timeout', `${roundMs}ms`, ...this.#masterParameters]
        : ['slave', '--name', name, ...(name === 'b' ? ['--validate', './rules.mjs'] : [])];
    this.#lives.set(name, { process: this.#processes.startWith(env, ...own, ...common), point: armed?.point ?? null });
  }

  /** Whoever is down. A master that is to adopt a copy asks for a second only, so its source is there before it. */
  async bootRest(): Promise<void> {
    for (const name of ['a', 'b'] as const) if (!this.isRunning(name)) this.boot(name);
    if (this.isRunning('master')) return;
    if (this.#masterParameters.includes('--adopt-from')) await this.url('a');
    this.boot('master');
  }

  /** The next life of the master has an empty store. What it holds then is what counts from then on. */
  giveMasterEmptyStore(...how: string[]): void {
    this.#masterStores += 1;
    this.#masterParameters = ['--store', `./data/master-${this.#masterStores}`, ...how];
    if (!how.includes('--reset-group')) return;
    this.#acknowledged = [];
    this.#aborted = [];
  }

  /** The master's flags that were meant for one start. */
  leadAsUsual(): void {
    this.#masterParameters = this.#masterParameters.slice(0, 2);
  }

  /** A process beside the group, such as a second master. It is killed at the end, by its own id. */
  stranger(...parameters: string[]): LockstepProcess {
    return this.#processes.start(...parameters, '--group', this.#processes.group, '--http', '127.0.0.1:0');
  }

  async kill(name: NodeName): Promise<void> {
    const { process } = this.#life(name);
    process.signal('SIGKILL');
    await process.ended;
  }

  signal(name: NodeName, signal: NodeJS.Signals): void {
    this.#life(name).process.signal(signal);
  }

  isRunning(name: NodeName): boolean {
    return this.#life(name).process.running;
  }

  url(name: NodeName): Promise<string> {
    return this.#processes.url(this.#life(name).process);
  }

  /** The process is gone, by the point that it was armed with and by nothing else. */
  async diedAtItsPoint(name: NodeName): Promise<void> {
    const { process, point } = this.#life(name);
    if (point === null) throw new Error(`${name} is not armed`);
    await eventually(
      `the end of ${name} at ${point}`,
      () => (process.running ? undefined : true),
      deadlineMs,
      () => this.#complaints(),
    );
    const { err } = await process.ended;
    expect(process.killedBy, err).toBe('SIGKILL');
    expect(err.trimEnd().split('\n').at(-1)).toBe(deathLine(point));
  }

  /** Sends a change and remembers what became of it. Undefined: the answer was cut off, or nobody could take it. */
  async change(kind: ChangeKind, bytes = 0): Promise<OutcomeBody['outcome'] | undefined> {
    const key = `k-${this.#nextKey}`;
    this.#nextKey += 1;
    const value = { refuse: kind === 'refused', filling: 'x'.repeat(bytes) };
    const url = await this.url('master').catch(() => null);
    if (url === null) return undefined;
    const answer = await fetch(`${url}/v1/changes/default`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
      body: JSON.stringify({ operations: [{ put: [key, value] }], ...waysOf[kind] }),
      signal: AbortSignal.timeout(deadlineMs),
    })
      .then(async (response) => (await response.json()) as Partial<OutcomeBody>)
      .catch(() => null);
    // Armed is final too: nobody here cancels.
    if (answer?.outcome === 'committed' || answer?.outcome === 'armed') this.#acknowledged.push(key);
    if (answer?.outcome === 'aborted') this.#aborted.push(key);
    return answer?.outcome;
  }

  /** Until it has its outcome: before, the group may be about to take a lead, or to miss a voter. */
  async changed(kind: ChangeKind, bytes = 0): Promise<void> {
    const wanted = kind === 'refused' ? 'aborted' : 'committed';
    await eventually(
      `a change in ${kind}`,
      async () => ((await this.change(kind, bytes)) === wanted ? true : undefined),
      deadlineMs,
      () => this.#complaints(),
    );
  }

  /** All copies are at one version with one content; nothing that was acknowledged is missing, nothing aborted is there. */
  async converged(): Promise<void> {
    await eventually(
      'equal copies',
      async () => {
        const seen = await Promise.all(nodeNames.map((name) => this.#contents(name)));
        return seen[0] !== null && seen.every((each) => each === seen[0]) ? true : undefined;
      },
      deadlineMs,
      () => this.#complaints(),
    );
    const held = await this.#keys();
    expect(this.#acknowledged.filter((key) => !held.has(key))).toEqual([]);
    expect(this.#aborted.filter((key) => held.has(key))).toEqual([]);
  }

  /** Live and current, as the master counts its members and as they see it themselves, in the lives they have now. */
  async bothLive(): Promise<void> {
    await eventually(
      'both slaves live and current',
      async () => {
        const status = await this.status('master');
        const members = status?.role === 'master' ? (status.dataSets[0]?.members ?? []) : [];
        if (members.filter(({ live, state }) => live && state === 'current').length < 2) return undefined;
        for (const name of ['a', 'b'] as const) {
          const own = await this.status(name);
          if (own?.role !== 'slave' || own.dataSets[0]?.state !== 'current') return undefined;
        }
        return true;
      },
      deadlineMs,
      () => this.#complaints(),
    );
  }

  /** Null while it can't answer. */
  async status(name: NodeName): Promise<StatusBody | null> {
    if (!this.isRunning(name)) return null;
    const url = /^lockstep .* · (http:\/\/\S+) · /m.exec(this.#life(name).process.out)?.[1];
    if (url === undefined) return null;
    return fetch(`${url}/v1/status`, { signal: AbortSignal.timeout(deadlineMs) })
      .then(async (response) => (response.ok ? ((await response.json()) as StatusBody) : null))
      .catch(() => null);
  }

  async #contents(name: NodeName): Promise<string | null> {
    const dataSet = (await this.status(name))?.dataSets[0];
    // What waits for its instant is still to come.
    if (dataSet?.tip === undefined || dataSet.tip === null || dataSet.armed !== null) return null;
    return JSON.stringify([dataSet.tip, dataSet.entries, dataSet.stateDigest]);
  }

  async #keys(): Promise<ReadonlySet<string>> {
    const answer = await fetch(`${await this.url('master')}/v1/data/default?limit=1000`);
    const { entries, next } = (await answer.json()) as { entries: readonly { key: string }[]; next: string | null };
    expect(next, 'all keys are on one page').toBeNull();
    return new Set(entries.map(({ key }) => key));
  }

  #life(name: NodeName): Life {
    const life = this.#lives.get(name);
    if (life === undefined) throw new Error(`${name} was never started`);
    return life;
  }

  #complaints(): string {
    return nodeNames.map((name) => `── ${name}\n${this.#lives.get(name)?.process.err ?? ''}`).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#processes[Symbol.asyncDispose]();
  }
}
