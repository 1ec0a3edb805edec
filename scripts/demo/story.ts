import { randomUUID } from 'node:crypto';
import { Client, type ChangeRequestOptions } from '../../cli/client.js';
import { batchesOf, putOf } from '../../cli/records.js';
import type { CrashPointName } from '../../shared/runtime/crash-points.js';
import type { OutcomeBody } from '../../shared/http/bodies.js';
import type { DemoGroup } from './processes.js';
import { type DemoNode } from './processes.js';
import type { CheckLine, Screen, StepReport } from './screen.js';
import type { Subject } from './subject.js';
import { masterStatus, readValue, rowsOf, slaveStatus, waitFor, type NodeRow } from './watch.js';

export const dataSet = 'products';

/**
 * How long a node may take to start, and a group to settle, before the step counts as failed. The first start on a machine translates the
 * sources, in four processes at once.
 */
const startMs = 40_000;
const settleMs = 6000;
const batch = { records: 1000, bytes: 2 * 1024 * 1024 };
/** A change is decided a lease before its instant, so that who isn't armed by then is current no more. */
const inText = '4 s';
const afterDecision: CrashPointName = 'master:after-write:decision';

interface Step {
  readonly title: string;
  readonly play: () => Promise<void>;
}

/** What is told, in its order; each step stands on the one before, so that the first one that fails is the last. */
export class Story {
  readonly #group: DemoGroup;
  readonly #subject: Subject;
  readonly #screen: Screen;
  readonly #client: Client;
  readonly #price: {
    readonly at: number;
    readonly changed: number;
    readonly whileAway: number;
    readonly last: number;
    readonly scheduled: number;
  };
  #checks: CheckLine[] = [];
  #nodes: readonly NodeRow[] = [];

  constructor(parts: { readonly group: DemoGroup; readonly subject: Subject; readonly screen: Screen }) {
    this.#group = parts.group;
    this.#subject = parts.subject;
    this.#screen = parts.screen;
    this.#client = new Client({ url: new URL(parts.group.master.url), fetch });
    const { price } = parts.subject;
    this.#price = {
      at: price,
      changed: price + 100,
      whileAway: price + 200,
      last: price + 300,
      scheduled: price + 400,
    };
  }

  /** True when each step held. `told` gets each of them as it ends. */
  async tell(told: (report: StepReport) => void): Promise<boolean> {
    const { key } = this.#subject;
    const steps: readonly Step[] = [
      { title: `${this.#subject.records.length} records loaded: all copies are equal`, play: () => this.#load() },
      { title: `A new price for ${key}: committed everywhere`, play: () => this.#commit() },
      { title: 'A negative price: one slave refuses, and nobody shows it', play: () => this.#veto() },
      { title: 'Slave b killed, a change made, b back: caught up by a delta', play: () => this.#catchUp() },
      { title: 'The master killed between its decision and the commit', play: () => this.#inDoubt() },
      { title: 'A price for an instant: all three switch at the same moment', play: () => this.#atOnce() },
    ];
    for (const [index, { title, play }] of steps.entries()) {
      const startedMs = performance.now();
      this.#checks = [];
      this.#nodes = [];
      this.#screen.heading(index + 1, title);
      try {
        await play();
      } catch (error) {
        this.#check(false, `stopped: ${error instanceof Error ? error.message : String(error)}`);
      }
      const seconds = Math.round(performance.now() - startedMs) / 1000;
      told({ step: index + 1, title, seconds, checks: this.#checks, nodes: this.#nodes });
      if (this.#checks.length === 0 || this.#checks.some(({ ok }) => !ok)) {
        this.#showOutputs();
        return false;
      }
    }
    return true;
  }

  async #load(): Promise<void> {
    const { records } = this.#subject;
    const batches = batchesOf(records, batch);
    const { master, slaves } = this.#group;
    // The load, the price change and the one while b is away come first; the master dies at the decision after them.
    master.start({ crashAt: `${afterDecision}:${batches.length + 3}` });
    for (const slave of slaves) slave.start();
    await this.#ready(
      [master, ...slaves],
      (status) => status.members.filter(({ live }) => live).length === slaves.length,
    );
    for (const node of this.#group.nodes) {
      this.#screen.line(`     ${node.name.padEnd(7)} process ${node.pid ?? '?'}, ${node.url}`);
    }
    const startedMs = performance.now();
    let loaded = 0;
    for (const part of batches) {
      const outcome = await this.#change(part.map(putOf));
      if (outcome.outcome !== 'committed') throw new Error(`the load was not committed: ${said(outcome)}`);
      loaded += part.length;
      this.#screen.progress(`${loaded} of ${records.length} records`);
    }
    const tookMs = performance.now() - startedMs;
    this.#screen.action(
      `load: ${records.length} records in ${batches.length} changes, ${Math.round(tookMs)} ms, on four disks`,
    );
    await this.#allEqual(`hold all ${records.length} records`, (rows) =>
      rows.every(({ entries }) => entries === records.length),
    );
  }

  async #commit(): Promise<void> {
    const before = (await rowsOf([this.#group.master]))[0]?.digest;
    const { at, changed } = this.#price;
    const outcome = await this.#putPrice(changed, `${at} → ${changed}`);
    this.#check(
      outcome.outcome === 'committed' && outcome.votes.yes === 3,
      outcome.outcome === 'committed'
        ? `committed: ${outcome.votes.yes} of 3 slaves voted yes, ${round(outcome.durationMs)} ms`
        : said(outcome),
    );
    await this.#everybodyShows(changed);
    await this.#allEqual('hold the new state', (rows) => rows.every(({ digest }) => digest !== before));
  }

  async #veto(): Promise<void> {
    const before = (await rowsOf([this.#group.master]))[0];
    const refused = -5;
    const seen = new Sightings(this.#group.nodes, (node) => this.#priceAt(node));
    const outcome = await this.#putPrice(refused, String(refused));
    const prices = await seen.end();
    const refusal = outcome.outcome === 'aborted' ? outcome.refusals[0] : undefined;
    this.#check(
      refusal?.node === 'c',
      refusal === undefined
        ? `should have been refused: ${said(outcome)}`
        : `aborted: ${refusal.node} refused ${refusal.reason}`,
    );
    this.#check(
      prices.reads > 0 && !prices.seen.has(refused) && prices.seen.size === 1,
      `${prices.reads} reads at all four meanwhile: each showed ${[...prices.seen].join(', ')}`,
    );
    await this.#everybodyShows(this.#price.changed);
    await this.#allEqual('are as they were', (rows) =>
      rows.every(({ digest, version }) => digest === before?.digest && version === before?.version),
    );
  }

  async #catchUp(): Promise<void> {
    const { master, slaves } = this.#group;
    const [, b] = slaves;
    await b.kill();
    this.#screen.action(`kill -9 slave b`);
    this.#screen.progress('until its lease runs out b is still asked, and a change would wait for it in vain');
    const killedMs = performance.now();
    const left = await waitFor(async () => {
      const member = (await masterStatus(master))?.members.find(({ node }) => node === b.name);
      return member?.live === false ? true : null;
    }, settleMs);
    const leaseText = `${round((performance.now() - killedMs) / 1000, 1)} s later its lease is over: rounds no longer wait for b`;
    this.#check(left === true, leaseText);
    const { changed, whileAway } = this.#price;
    const outcome = await this.#putPrice(whileAway, `${changed} → ${whileAway}`);
    this.#check(
      outcome.outcome === 'committed' && outcome.votes.yes === 2,
      outcome.outcome === 'committed'
        ? `committed without it: ${outcome.votes.yes} of 2 slaves voted yes`
        : said(outcome),
    );
    await this.#everybodyShows(whileAway, [master, slaves[0], slaves[2]]);
    await this.#table();
    this.#screen.action('start slave b again, on the store that it left');
    b.start();
    this.#screen.progress('b reads its store and asks for what it lacks');
    const copy = await waitFor(async () => {
      const status = await slaveStatus(b);
      const target = outcome.outcome === 'committed' ? outcome.version : Infinity;
      return status?.state === 'current' && (status.tip?.version ?? 0) >= target ? status : null;
    }, startMs);
    this.#check(
      copy !== null && copy.snapshots === 0 && copy.repairs > 0,
      copy === null
        ? 'b did not catch up'
        : `b is current again: ${counted(copy.repairs, 'delta')} asked for, ${counted(copy.snapshots, 'snapshot')}`,
    );
    await this.#everybodyShows(whileAway);
    await this.#allEqual('are equal, b among them');
  }

  async #inDoubt(): Promise<void> {
    const { master, slaves } = this.#group;
    const { whileAway, last } = this.#price;
    await this.#ready([master], (status) => status.members.filter(({ live }) => live).length === slaves.length);
    const firstReign = (await masterStatus(master))?.epoch ?? Infinity;
    const answer = this.#putPrice(last, `${whileAway} → ${last}, and kill -9 the master when its decision is on disk`);
    // The answer is awaited further down, after the restart; a failure meanwhile is told there.
    answer.catch(() => undefined);
    const died = await Promise.race([master.ended, answer.then(() => null)]);
    this.#check(died === 'SIGKILL', died === 'SIGKILL' ? 'the master is dead' : 'the master lives, and should not');
    if (died !== 'SIGKILL') return;
    const copies = await waitFor(async () => {
      const rows = await rowsOf(slaves);
      return rows.every(({ inDoubt }) => inDoubt === 1) ? rows : null;
    }, settleMs);
    this.#check(copies !== null, 'no commit left it: all three voted yes and are in doubt, and none decides by itself');
    await this.#everybodyShows(whileAway, slaves);
    await this.#table();
    this.#screen.action('start the master again, on the store that it left');
    master.start();
    this.#screen.progress('it reads its decision, and asks its group whether it may lead');
    const outcome = await answer;
    this.#check(
      outcome.outcome === 'committed',
      outcome.outcome === 'committed'
        ? `whoever asked for the change asked again, and was told: committed, version ${outcome.version}`
        : said(outcome),
    );
    const reign = await waitFor(async () => {
      const status = await masterStatus(master);
      return status?.phase === 'leading' && status.epoch > firstReign ? status.epoch : null;
    }, settleMs);
    this.#check(
      reign !== null,
      reign === null ? 'the master does not lead again' : `the master leads again: reign ${firstReign} → ${reign}`,
    );
    await this.#everybodyShows(last);
    await this.#allEqual('show what was decided before the crash');
  }

  async #atOnce(): Promise<void> {
    const { master, slaves } = this.#group;
    const { last, scheduled } = this.#price;
    const seen = new Sightings(slaves, (node) => this.#priceAt(node));
    const outcome = await this.#putPrice(scheduled, `${last} → ${scheduled}, shown ${inText} from now`, {
      activateAt: `+${inText.replace(' ', '')}`,
    });
    const prices = await seen.end();
    this.#check(
      outcome.outcome === 'armed' && outcome.arming.armed === slaves.length,
      outcome.outcome === 'armed'
        ? `decided, and armed: ${outcome.arming.armed} of ${outcome.arming.of} slaves will show it unasked`
        : said(outcome),
    );
    if (outcome.outcome !== 'armed') return;
    this.#check(
      !prices.seen.has(scheduled) && prices.seen.size === 1,
      `${prices.reads} reads at the slaves meanwhile: each showed ${[...prices.seen].join(', ')}`,
    );
    this.#screen.progress(`they wait for ${outcome.activateAt}, each by its own clock`);
    const activation = await waitFor(async () => {
      const { activation: newest = null } = (await masterStatus(master)) ?? {};
      return newest?.version === outcome.version && newest.exposed === newest.of ? newest : null;
    }, settleMs);
    this.#check(
      activation !== null && activation.exposed === slaves.length && activation.spreadMs !== null,
      activation === null || activation.spreadMs === null || activation.boundMs === null
        ? 'not all of them tell that they show it'
        : `switched: ${round(activation.spreadMs)} ms from the first to the last, and certainly no more than ${round(activation.boundMs)} ms`,
    );
    await this.#everybodyShows(scheduled);
    await this.#allEqual('show it');
  }

  /** Until all answer and the master leads with what it needs. */
  async #ready(
    nodes: readonly DemoNode[],
    enough: (status: { readonly members: readonly { readonly live: boolean }[] }) => boolean,
  ): Promise<void> {
    this.#screen.progress('processes start, and the master asks its group whether it may lead');
    const ready = await waitFor(async () => {
      const dead = nodes.find(({ isRunning }) => !isRunning);
      if (dead !== undefined) throw new Error(`${dead.name} ended by itself`);
      const status = await masterStatus(this.#group.master);
      return status?.phase === 'leading' && status.mayCommit && enough(status) ? true : null;
    }, startMs);
    if (ready === null) throw new Error('the group did not come together');
  }

  async #putPrice(price: number, asText: string, options: ChangeRequestOptions = {}): Promise<OutcomeBody> {
    const { key, field } = this.#subject;
    this.#screen.action(`put ${key}: ${field} ${asText}`);
    return this.#change([{ put: [key, this.#subject.priced(price)] }], options);
  }

  async #change(
    operations: Parameters<Client['change']>[0]['operations'],
    options: ChangeRequestOptions = {},
  ): Promise<OutcomeBody> {
    return this.#client.change({ dataSet, operations, options, idempotencyKey: randomUUID() });
  }

  async #priceAt(node: DemoNode): Promise<number | null> {
    const value = await readValue(node, dataSet, this.#subject.key);
    return value === null ? null : this.#subject.priceIn(value);
  }

  async #everybodyShows(price: number, nodes: readonly DemoNode[] = this.#group.nodes): Promise<void> {
    let prices: readonly (number | null)[] = [];
    const same = await waitFor(async () => {
      prices = await Promise.all(nodes.map((node) => this.#priceAt(node)));
      return prices.every((shown) => shown === price) ? true : null;
    }, settleMs);
    const shown = nodes.map(({ name }, index) => `${name} ${prices[index] ?? 'nothing'}`).join(', ');
    this.#check(same === true, `a reader at each node gets ${this.#subject.field}: ${shown}`);
  }

  /** The table, once everybody is at one version with one digest, or when that does not come. */
  async #allEqual(what: string, also: (rows: readonly NodeRow[]) => boolean = () => true): Promise<void> {
    const rows = await waitFor(async () => {
      const seen = await rowsOf(this.#group.nodes);
      this.#nodes = seen;
      const [first] = seen;
      const equal = seen.every(({ digest, version, inDoubt, state }) => {
        const settled = inDoubt === 0 && (state === 'leading' || state === 'current');
        return settled && digest !== null && digest === first?.digest && version === first.version;
      });
      return equal && also(seen) ? seen : null;
    }, settleMs);
    this.#check(rows !== null, `all four ${what}: one version, one digest`);
    this.#screen.table(this.#nodes);
  }

  async #table(): Promise<void> {
    this.#nodes = await rowsOf(this.#group.nodes);
    this.#screen.table(this.#nodes);
  }

  #check(ok: boolean, text: string): void {
    const line = { ok, text };
    this.#checks.push(line);
    this.#screen.check(line);
  }

  #showOutputs(): void {
    for (const node of this.#group.nodes) {
      if (node.output !== '') this.#screen.line(`\n   ${node.name} said:\n${node.output.replaceAll(/^/gm, '     ')}`);
    }
  }
}

/** Reads one thing at every node, again and again, while something happens. */
class Sightings {
  readonly #stopped: Promise<void>;
  readonly #seen = new Set<number | null>();
  #reads = 0;
  #ended = false;

  constructor(nodes: readonly DemoNode[], look: (node: DemoNode) => Promise<number | null>) {
    const watch = async (node: DemoNode): Promise<void> => {
      do {
        this.#seen.add(await look(node));
        this.#reads += 1;
      } while (!this.#ended);
    };
    this.#stopped = Promise.all(nodes.map(watch)).then(() => undefined);
  }

  async end(): Promise<{ readonly reads: number; readonly seen: ReadonlySet<number | null> }> {
    this.#ended = true;
    await this.#stopped;
    return { reads: this.#reads, seen: this.#seen };
  }
}

function said(outcome: OutcomeBody): string {
  switch (outcome.outcome) {
    case 'committed':
      return `committed as version ${outcome.version}`;
    case 'aborted':
      return `aborted: ${[outcome.reason, ...outcome.refusals.map(({ node, reason }) => `${node}: ${reason}`)].join('; ')}`;
    case 'armed':
      return `armed as version ${outcome.version} for ${outcome.activateAt}`;
    case 'unknown':
      return `unknown: ${outcome.reason}`;
    case 'pending':
      return 'still under way';
  }
}

function round(value: number, digits = 2): string {
  return value.toFixed(digits);
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
