import { randomInt, randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { invariant } from '../../../../../shared/protocol/kernel/invariant.js';
import type { Json } from '../../../../../shared/protocol/key-value/operations.js';
import type { MessageKind } from '../../../../../shared/protocol/wire/messages.js';
import type {
  EntryBody,
  ErrorBody,
  MasterDataSetBody,
  OutcomeBody,
  SlaveDataSetBody,
  StatusBody,
  TipBody,
} from '../../../../../shared/http/bodies.js';
import { freePort } from '../../../process/loopback.js';
import type {
  CallbackName,
  ChangeEnd,
  ChangeRequest,
  CrashAt,
  Misbehaviour,
  Moment,
  PacketMatch,
  Scenario,
  Veto,
} from '../scenario.js';
import type { NodeAccount, NodeEvent, RunningChange, Stage } from '../stage.js';
import { CannotStage } from '../stage.js';
import { RealNode } from './node.js';
import type { Order } from './orders.js';

const dataSet = 'default';
const lookEveryMs = 25;
const convergeMs = 30_000;
/** Bounds a whole scenario, whatever its steps wait for. */
const scenarioMs = 180_000;
/** A change's answer comes at its deadline at the latest, after its turn in the queue. */
const answerMs = 70_000;

/** Real `lockstep` processes on loopback multicast: a group, ports and folders of their own. */
export class RealStage implements Stage {
  readonly #nodes = new Map<string, RealNode>();
  readonly #folder: string;
  readonly #group: string;
  readonly #startedMs = performance.now();
  readonly #slaves: readonly string[];
  /** In force until the network heals; a node that starts meanwhile is told too. */
  readonly #orders = new Map<string, Order>();
  #vetoes: readonly Veto[] = [];
  /** The player ends in the middle; its nodes end with it. */
  readonly #onExit = (): void => {
    rmSync(this.#folder, { recursive: true, force: true });
  };

  private constructor(parts: { readonly folder: string; readonly group: string; readonly scenario: Scenario }) {
    this.#folder = parts.folder;
    this.#group = parts.group;
    this.#slaves = Array.from({ length: parts.scenario.slaves }, (_, index) => `s${index + 1}`);
    this.#nodes.set(
      'master',
      new RealNode({ name: 'master', folder: parts.folder, parameters: ['master', ...this.#parameters('master')] }),
    );
    for (const slave of this.#slaves) this.#addSlave(slave, slave);
    process.on('exit', this.#onExit);
  }

  static async open(scenario: Scenario): Promise<RealStage> {
    // Administratively scoped, and never beyond loopback.
    const group = `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${await freePort()}`;
    const stage = new RealStage({ folder: await mkdtemp(join(tmpdir(), 'lockstep-scenario-')), group, scenario });
    await stage.#writeVetoes();
    return stage;
  }

  get nowMs(): number {
    return performance.now() - this.#startedMs;
  }

  async start(node: string, crashAt: CrashAt | null): Promise<void> {
    await this.#node(node).start(crashAt);
    for (const order of this.#orders.values()) await this.#node(node).order(order);
  }

  async kill(node: string): Promise<void> {
    await this.#node(node).kill();
  }

  async twin(of: string, as: string): Promise<void> {
    this.#addSlave(of, as);
    await this.#writeVetoes();
    await this.start(as, null);
  }

  async change(request: ChangeRequest): Promise<RunningChange> {
    const { data, voters, phases, timeoutMs, commitBy, abortBy, wait } = request;
    if (data.kind === 'add')
      throw new CannotStage("'add' needs a user layer of counters; the binaries serve key-value data");
    const running: { end: ChangeEnd | null } = { end: null };
    const { url } = this.#node('master');
    if (url === null) {
      running.end = { kind: 'rejected', code: 'unreachable', text: 'the master is down' };
      return running;
    }
    const options = Object.entries({ voters, phases, timeoutMs, commitBy, abortBy, wait }).filter(
      ([, value]) => value !== null,
    );
    const body = JSON.stringify({ operations: data.operations, ...Object.fromEntries(options) });
    const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
    fetch(`${url}/v1/changes/${dataSet}`, { method: 'POST', headers, body, signal: AbortSignal.timeout(answerMs) })
      .then(async (response) => endOf(await response.json()))
      .catch(() => ({ kind: 'unknown', reason: 'the master ended' }) as const)
      .then((end) => {
        running.end = end;
      })
      .catch(() => undefined);
    return running;
  }

  async veto(veto: Veto): Promise<void> {
    this.#vetoes = [...this.#vetoes, veto];
    await this.#writeVetoes();
  }

  async accept(node: string): Promise<void> {
    this.#vetoes = this.#vetoes.filter((veto) => veto.node !== node);
    await this.#writeVetoes();
  }

  misbehave({ callback }: Misbehaviour): Promise<void> {
    return Promise.reject(
      new CannotStage(`the ${callback} of the binaries' own user layer can't be made to misbehave`),
    );
  }

  async intercept(name: string, what: 'drop' | 'hold', match: PacketMatch): Promise<void> {
    await this.#tellAll(name, { kind: 'intercept', name, what, match });
  }

  async release(name: string): Promise<void> {
    if (!this.#orders.delete(name)) throw new CannotStage(`nothing is dropped or held as '${name}'`);
    for (const node of this.#nodes.values()) await node.order({ kind: 'release', name });
  }

  /** Of datagrams; streams over TCP are begun by datagrams, so that none begins across the cut. */
  async partition(one: readonly string[], other: readonly string[]): Promise<void> {
    const everything = { kinds: null, except: null, percent: 100 };
    const name = `partition ${one.join(',')}|${other.join(',')}`;
    await this.intercept(`${name} there`, 'drop', { ...everything, from: one, to: other });
    await this.intercept(`${name} back`, 'drop', { ...everything, from: other, to: one });
  }

  async heal(): Promise<void> {
    this.#orders.clear();
    for (const node of this.#nodes.values()) await node.order({ kind: 'heal' });
  }

  failDisk(node: string): Promise<void> {
    return Promise.reject(new CannotStage(`the real disk of ${node} can't be made to fail`));
  }

  async crashBefore(node: string, message: MessageKind): Promise<void> {
    await this.#node(node).order({ kind: 'crash before', message });
  }

  crashAt(node: string, moment: Moment): Promise<void> {
    return Promise.reject(
      new CannotStage(
        `${node} can't be stopped at '${moment}' once it runs; start it with crashAt, or crash it before a message`,
      ),
    );
  }

  async pass(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  async until(condition: () => Promise<boolean>, withinMs: number): Promise<boolean> {
    const endMs = Math.min(this.nowMs + withinMs, scenarioMs);
    for (;;) {
      if (await condition()) return true;
      if (this.nowMs >= endMs) return false;
      await this.pass(lookEveryMs);
    }
  }

  async account(node: string): Promise<NodeAccount | null> {
    const status = await this.#get<StatusBody>(node, '/v1/status');
    if (status === null) return null;
    const found = status.dataSets.find((each) => each.dataSet === dataSet);
    if (found === undefined) return null;
    return status.role === 'master'
      ? masterAccount(found as MasterDataSetBody)
      : slaveAccount(found as SlaveDataSetBody);
  }

  async valueOf(node: string, key: string): Promise<Json | undefined> {
    const entry = await this.#get<EntryBody>(node, `/v1/data/${dataSet}/${encodeURIComponent(key)}`);
    return entry?.value;
  }

  totalOf(): Promise<number> {
    return Promise.reject(new CannotStage('totals are of counters; the binaries serve key-value data'));
  }

  sent(node: string): Promise<ReadonlyMap<MessageKind, number>> {
    return this.#node(node).sent();
  }

  events(node: string): readonly NodeEvent[] {
    return this.#node(node).events;
  }

  calls(node: string): ReadonlyMap<CallbackName, number> {
    throw new CannotStage(`the callbacks of ${node} can't be counted from outside`);
  }

  async mark(): Promise<void> {
    for (const node of this.#nodes.values()) await node.mark();
  }

  async converge(): Promise<string | null> {
    await this.heal();
    let apart = '';
    const nodes = ['master', ...this.#slaves];
    const converged = await this.until(async () => {
      const accounts: (readonly [string, NodeAccount | null])[] = [];
      for (const node of nodes) accounts.push([node, await this.account(node)]);
      const [, master] = accounts[0] ?? [];
      const odd = accounts.find(
        ([, account]) =>
          account?.ready !== true ||
          account.inDoubt > 0 ||
          account.tip !== master?.tip ||
          account.digest !== master?.digest,
      );
      apart =
        odd === undefined
          ? ''
          : `${odd[0]} is ${odd[1] === null ? 'down' : `${odd[1].state} at version ${odd[1].version}`}`;
      return odd === undefined;
    }, convergeMs);
    return converged ? null : `${convergeMs} ms after the last fault: ${apart}`;
  }

  findings(): readonly string[] {
    const bugs = ['invariant', 'node-failed'];
    return [...this.#nodes].flatMap(([name, node]) =>
      node.events
        .filter((event) => bugs.includes(event.name))
        .map((event) => `${name}: ${JSON.stringify(event.fields)}`),
    );
  }

  /** What the processes complained of, for who looks for the reason of a failure. */
  lastWords(): readonly string[] {
    return [...this.#nodes].flatMap(([name, { complaints }]) =>
      complaints === '' ? [] : [`  ${name}: ${complaints.replaceAll('\n', ' / ')}`],
    );
  }

  /** Ends what this stage started, by its own ids. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => node.kill()));
    process.off('exit', this.#onExit);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  #node(name: string): RealNode {
    const node = this.#nodes.get(name);
    invariant(node !== undefined, `there is no node ${name}`);
    return node;
  }

  #addSlave(name: string, as: string): void {
    const parameters = ['slave', '--name', name, '--validate', this.#validatorOf(as), ...this.#parameters(as)];
    this.#nodes.set(as, new RealNode({ name, folder: this.#folder, parameters }));
  }

  #parameters(as: string): readonly string[] {
    return [
      ...[
        '--store',
        join(this.#folder, as),
        '--group',
        this.#group,
        '--interface',
        '127.0.0.1',
        '--http',
        '127.0.0.1:0',
      ],
      ...['--log-level', 'debug', '--log-format', 'json'],
    ];
  }

  #validatorOf(as: string): string {
    return join(this.#folder, `validate-${as}.mjs`);
  }

  /** Each slave's module reads the vetoes at every operation, so that they may change while it runs. */
  async #writeVetoes(): Promise<void> {
    const file = join(this.#folder, 'vetoes.json');
    await writeFile(file, JSON.stringify(this.#vetoes));
    const vetoes = new URL('../vetoes.ts', import.meta.url).href;
    for (const as of this.#nodes.keys()) {
      if (as === 'master') continue;
      const text = [
        "import { readFileSync } from 'node:fs';",
        `import { refusalOf } from ${JSON.stringify(vetoes)};`,
        'export function validate(operation) {',
        `  const vetoes = JSON.parse(readFileSync(${JSON.stringify(file)}, 'utf8')).filter(({ node }) => node === ${JSON.stringify(as)});`,
        '  return refusalOf(vetoes, operation) ?? true;',
        '}',
      ];
      await writeFile(this.#validatorOf(as), text.join('\n'));
    }
  }

  async #tellAll(name: string, order: Order): Promise<void> {
    this.#orders.set(name, order);
    for (const node of this.#nodes.values()) await node.order(order);
  }

  /** Null: the node is down, or has no such thing. */
  async #get<Body>(node: string, path: string): Promise<Body | null> {
    const { url } = this.#node(node);
    if (url === null) return null;
    try {
      const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(5000) });
      return response.status === 200 ? ((await response.json()) as Body) : null;
    } catch {
      return null;
    }
  }
}

function tipText(tip: TipBody | null): string {
  return tip === null ? 'nothing' : `e${tip.epoch} v${tip.version} ${tip.chainId}`;
}

function masterAccount({ phase, tip, stateDigest, mayCommit }: MasterDataSetBody): NodeAccount {
  return {
    state: phase,
    version: tip?.version ?? 0,
    tip: tipText(tip),
    digest: stateDigest,
    inDoubt: 0,
    snapshots: 0,
    ready: phase === 'leading' && mayCommit,
  };
}

function slaveAccount({ state, tip, stateDigest, inDoubt, snapshots }: SlaveDataSetBody): NodeAccount {
  return {
    state,
    version: tip?.version ?? 0,
    tip: tipText(tip),
    digest: stateDigest,
    inDoubt: inDoubt.length,
    snapshots,
    ready: state === 'current',
  };
}

function endOf(body: unknown): ChangeEnd {
  if (typeof body === 'object' && body !== null && 'error' in body) {
    const { error } = body as ErrorBody;
    return { kind: 'rejected', code: error.code, text: error.message };
  }
  const outcome = body as OutcomeBody;
  switch (outcome.outcome) {
    case 'committed':
      return { kind: 'committed', version: outcome.version };
    case 'aborted':
      return {
        kind: 'aborted',
        reason: outcome.reason,
        refusals: outcome.refusals.map(({ node, reason }) => ({ node, reason })),
      };
    case 'armed':
      throw new Error('no scenario schedules a change');
    case 'unknown':
      return { kind: 'unknown', reason: outcome.reason };
    case 'pending':
      return { kind: 'unknown', reason: 'not decided yet' };
  }
}
