import { MasterCore } from '../../../master/service/core/master-core.js';
import type { MasterConfig, MasterEffect, MasterInput } from '../../../master/service/core/io.js';
import type { MasterRecovered } from '../../../master/service/core/records.js';
import { recoverMaster } from '../../../master/service/core/records.js';
import { SlaveCore } from '../../../slave/service/core/slave-core.js';
import type { SlaveConfig, SlaveEffect, SlaveInput, UserAnswer } from '../../../slave/service/core/io.js';
import type { SlaveView } from '../../../slave/service/core/view.js';
import { recoverSlave } from '../../../slave/service/core/records.js';
import type { DataSetId, Epoch, NodeId, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameTip, showTip } from '../../../shared/protocol/kernel/ids.js';
import type {
  Cancellation,
  Rejection,
  Replication,
  ScheduledOutcome,
} from '../../../shared/protocol/kernel/outcome.js';
import type { StoreKey, StoreOperation, StoreReader } from '../../../shared/protocol/kernel/store.js';
import type { Message } from '../../../shared/protocol/wire/messages.js';

/**
 * One master's core and some slaves' cores, wired directly: no services, no network, no disk. What a test says about a
 * sequence of events stands in the test; here everything arrives at once unless a filter drops it.
 */
const dataSet = 'prices' as DataSetId;

/** Group time less the time of the harness. */
export const groupOffsetMs = 1_796_119_200_000;

export class MemoryRecords implements StoreReader {
  readonly #records = new Map<string, { readonly key: StoreKey; readonly value: unknown }>();

  copy(): MemoryRecords {
    const copy = new MemoryRecords();
    for (const { key, value } of this.#records.values()) copy.apply([{ kind: 'put', key, value }]);
    return copy;
  }

  apply(operations: readonly StoreOperation[]): void {
    for (const operation of operations) {
      const name = JSON.stringify(operation.key);
      if (operation.kind === 'put') this.#records.set(name, { key: operation.key, value: operation.value });
      else this.#records.delete(name);
    }
  }

  get(key: StoreKey): unknown {
    return this.#records.get(JSON.stringify(key))?.value;
  }

  range(prefix: StoreKey): { readonly key: StoreKey; readonly value: unknown }[] {
    return [...this.#records.values()].filter(
      ({ key }) => key.length > prefix.length && prefix.every((part, index) => key[index] === part),
    );
  }
}

export interface Packet {
  readonly from: Peer;
  readonly to: Peer | 'all';
  readonly epoch: Epoch;
  readonly message: Message;
}

export interface SlaveNode {
  readonly name: string;
  readonly store: string;
  readonly peer: Peer;
  core: SlaveCore;
  readonly records: MemoryRecords;
  /** What the user layer holds: the tip, and the versions applied in order. */
  tip: Tip | null;
  applied: number[];
  readonly calls: string[];
  veto: ((version: number) => UserAnswer | null) | null;
  alive: boolean;
  starts: number;
  halted: string | null;
  /** Records put, in order: what a test may bring back as if their removal had been lost. */
  readonly kept: StoreOperation[];
  /** So many commits fail before one succeeds. */
  failCommits: number;
  lateToken: number | null;
  /** True: the answer to a prepare is held back until `endLateCall`. */
  holdsPrepare: boolean;
  /** Its monotonic clock: how far ahead of the test's it is, and how fast it runs. */
  readonly clock: { readonly aheadMs: number; readonly rate: number };
  /** When readers were shown a scheduled change, by the test's clock. */
  readonly shown: { readonly version: number; readonly atMs: number }[];
  /** A user layer that does not share the store: it is asked to commit, and answers when the test says so. */
  holdsCommit: boolean;
}

export interface MasterNode {
  core: MasterCore;
  records: MemoryRecords;
  readonly peer: Peer;
  alive: boolean;
  starts: number;
  halted: string | null;
  /** When the original showed a scheduled change. */
  readonly shown: { readonly version: number; readonly atMs: number }[];
}

export class CoreGroup {
  nowMs = 0;
  readonly trace: string[] = [];
  readonly slaves: SlaveNode[] = [];
  /** What the master's user layer was told to take back, call by call. */
  readonly restored: (readonly number[])[] = [];
  readonly otherMasters: MasterNode[] = [];
  /** Every packet, in order. */
  readonly sent: Packet[] = [];
  master: MasterNode;
  readonly results = new Map<number, ScheduledOutcome | Cancellation | Rejection | { readonly kind: 'done' }>();
  /** False: the packet is lost. */
  passes: (packet: Packet, receiver: string) => boolean = () => true;
  /** False: the master's write hangs, and what comes after it too. */
  masterWrites: (operations: readonly StoreOperation[]) => boolean = () => true;
  /** What the master's user layer answers when it is asked for a delta. */
  userDelta: (version: number) => Uint8Array | null = (version) => new Uint8Array([version]);
  /** False: a slave's write hangs, and never completes. */
  slaveWrites: (name: string, operations: readonly StoreOperation[]) => boolean = () => true;
  /** An error text: a slave's write fails. */
  slaveWriteError: (name: string) => string | null = () => null;
  /** What the master's user layer was told to go back to, and which versions ended. */
  readonly restores: { readonly to: number; readonly dropped: readonly number[] }[] = [];
  /** An error text: the master's write fails. */
  masterWriteError: (operations: readonly StoreOperation[]) => string | null = () => null;
  readonly #queue: (() => void)[] = [];
  #nextCommand = 1;
  #running = false;

  constructor(
    slaveNames: readonly string[],
    private readonly overrides: Partial<MasterConfig> = {},
  ) {
    this.master = this.#newMaster('master', new MemoryRecords(), 1, 'm'.repeat(32));
    for (const name of slaveNames) this.addSlave(name);
  }

  // ── building ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #newMaster(
    name: string,
    records: MemoryRecords,
    starts: number,
    storeId: string,
    overrides: Partial<MasterConfig> = {},
  ): MasterNode {
    const node = name as NodeId;
    const incarnation = { storeId, start: starts };
    const config: MasterConfig = {
      dataSet,
      node,
      incarnation,
      claimant: String(starts).padStart(32, 'c'),
      seed: starts,
      durability: 'disk',
      maxOpenRounds: 8,
      leaseMs: 3000,
      maxLeaseMs: 5000,
      surveyMs: 1000,
      groupOffsetMs,
      historyBytes: 1 << 20,
      historyAgeMs: 3_600_000,
      takeOver: false,
      adoptFrom: null,
      resetGroup: false,
      datagramBytes: 8000,
      ...this.overrides,
      ...overrides,
    };
    const recovered: MasterRecovered = recoverMaster(records, dataSet);
    return {
      core: new MasterCore(config, recovered),
      records,
      peer: { node, incarnation },
      alive: true,
      starts,
      halted: null,
      shown: [],
    };
  }

  /** A second master of the group; it starts at once. */
  addMaster(
    name: string,
    overrides: Partial<MasterConfig> = {},
    records = new MemoryRecords(),
    storeLetter = name.slice(0, 1),
  ): MasterNode {
    const claimant = storeLetter.repeat(32);
    const master = this.#newMaster(name, records, 1, storeLetter.repeat(32), { claimant, ...overrides });
    this.otherMasters.push(master);
    this.#masterStep(master, { kind: 'start', tip: (records.get(['user', 'tip']) as Tip | undefined) ?? null });
    this.#drain();
    return master;
  }

  addSlave(
    name: string,
    store = name,
    tip: Tip | null = null,
    clock: SlaveNode['clock'] = { aheadMs: 0, rate: 1 },
  ): SlaveNode {
    const slave = this.#bootSlave({
      name,
      store,
      records: new MemoryRecords(),
      tip,
      applied: [],
      starts: 1,
      calls: [],
      veto: null,
      clock,
      shown: [],
    });
    this.slaves.push(slave);
    this.#startSlave(slave);
    return slave;
  }

  #bootSlave(
    parts: Pick<
      SlaveNode,
      'name' | 'store' | 'records' | 'tip' | 'applied' | 'starts' | 'calls' | 'veto' | 'clock' | 'shown'
    >,
  ): SlaveNode {
    const peer: Peer = {
      node: parts.name as NodeId,
      incarnation: { storeId: parts.store.padEnd(32, '0'), start: parts.starts },
    };
    const config: SlaveConfig = {
      dataSet,
      node: peer.node,
      incarnation: peer.incarnation,
      seed: parts.starts,
      durability: this.overrides.durability ?? 'disk',
      maxLeaseMs: 5000,
      windowBytes: 4 << 20,
    };
    return {
      ...parts,
      peer,
      core: new SlaveCore(config, recoverSlave(parts.records, dataSet)),
      alive: true,
      halted: null,
      kept: [],
      failCommits: 0,
      lateToken: null,
      holdsPrepare: false,
      holdsCommit: false,
    };
  }

  #startSlave(slave: SlaveNode): void {
    this.#slaveStep(slave, { kind: 'start', tip: slave.tip });
    this.#drain();
  }

  start(): void {
    this.#masterStep(this.master, {
      kind: 'start',
      tip: (this.master.records.get(['user', 'tip']) as Tip | undefined) ?? null,
    });
    this.#drain();
  }

  restartMaster(overrides: Partial<MasterConfig> = {}): void {
    const { records, starts, peer } = this.master;
    this.master = this.#newMaster(peer.node, records, starts + 1, peer.incarnation.storeId, overrides);
    this.start();
  }

  restartSlave(name: string): SlaveNode {
    const index = this.slaves.findIndex((slave) => slave.name === name);
    const old = this.slave(name);
    const fresh = this.#bootSlave({ ...old, starts: old.starts + 1 });
    this.slaves[index] = fresh;
    this.#startSlave(fresh);
    return fresh;
  }

  slave(name: string): SlaveNode {
    const found = this.slaves.find((slave) => slave.name === name);
    if (found === undefined) throw new Error(`no slave ${name}`);
    return found;
  }

  // ── driving ───────────────────────────────────────────────────────────────────────────────────────────────────────

  replicate(version: number, options: Partial<Replication> = {}): number {
    const command = this.#nextCommand++;
    const replication: Replication = {
      version,
      phases: 'two',
      timeoutMs: 2000,
      voters: 'live',
      content: 'auto',
      commitBy: 'multicast',
      abortBy: 'multicast',
      wait: 'decided',
      delta: new Uint8Array([version]),
      ...options,
    };
    this.#masterStep(this.master, { kind: 'replicate', command, replication });
    this.#drain();
    return command;
  }

  command(input: MasterInput): void {
    this.#masterStep(this.master, input);
    this.#drain();
  }

  slaveInput(name: string, input: SlaveInput): void {
    this.#slaveStep(this.slave(name), input);
    this.#drain();
  }

  /** The callback that ran past its time ends at last. */
  endLateCall(name: string): void {
    const { lateToken } = this.slave(name);
    if (lateToken === null) throw new Error(`no call of ${name} is late`);
    this.slaveInput(name, { kind: 'answered', token: lateToken, answer: { kind: 'done' } });
  }

  get #masters(): readonly MasterNode[] {
    return [this.master, ...this.otherMasters.filter((other) => other !== this.master)];
  }

  /** Lets virtual time pass, waking each core when it asked to be. */
  run(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    for (let guard = 0; guard < 100_000; guard += 1) {
      this.#drain();
      const wakes = [
        ...this.#masters.map(({ alive, core }) => (alive ? wakeOf(core) : Infinity)),
        ...this.slaves.map((slave) => (slave.alive ? this.#wakeOf(slave) : Infinity)),
      ];
      const nextMs = Math.min(...wakes);
      if (nextMs > endMs) {
        this.nowMs = endMs;
        return;
      }
      this.nowMs = Math.max(this.nowMs, nextMs);
      for (const master of this.#masters)
        if (master.alive && wakeOf(master.core) <= this.nowMs) this.#masterStep(master, { kind: 'tick' });
      for (const slave of this.slaves)
        if (slave.alive && this.#wakeOf(slave) <= this.nowMs) this.#slaveStep(slave, { kind: 'tick' });
      this.nowMs += 0.001;
    }
    throw new Error(`a core asks to be woken without end\n${this.trace.slice(-40).join('\n')}`);
  }

  /** A packet that was held back arrives now. */
  deliverNow(name: string, { from, epoch, message }: Packet): void {
    const input = { kind: 'received', from, epoch, message } as const;
    if (name === this.master.peer.node) this.#masterStep(this.master, input);
    else this.#slaveStep(this.slave(name), input);
    this.#drain();
  }

  #drain(): void {
    if (this.#running) return;
    this.#running = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
    this.#running = false;
  }

  #deliver(packet: Packet): void {
    this.sent.push(packet);
    const receives = (peer: Peer): boolean => {
      const self = peer.node === packet.from.node && peer.incarnation.storeId === packet.from.incarnation.storeId;
      return (
        !self &&
        (packet.to === 'all' ||
          (packet.to.node === peer.node && packet.to.incarnation.storeId === peer.incarnation.storeId))
      );
    };
    const input = { kind: 'received', from: packet.from, epoch: packet.epoch, message: packet.message } as const;
    for (const slave of this.slaves) {
      if (!receives(slave.peer) || !this.passes(packet, slave.name)) continue;
      this.#queue.push(() => this.#slaveStep(slave, input));
    }
    for (const master of this.#masters) {
      if (receives(master.peer) && this.passes(packet, master.peer.node))
        this.#queue.push(() => this.#masterStep(master, input));
    }
  }

  #masterStep(master: MasterNode, input: MasterInput): void {
    if (!master.alive) return;
    for (const effect of master.core.step(input, this.nowMs)) this.#masterEffect(master, effect);
  }

  #masterEffect(master: MasterNode, effect: MasterEffect): void {
    this.#log(master.peer.node, effect);
    const later = (input: MasterInput): void => {
      this.#queue.push(() => {
        if (this.#masters.includes(master)) this.#masterStep(master, input);
      });
    };
    if (effect.kind === 'send')
      this.#deliver({ from: master.peer, to: effect.to, epoch: effect.epoch, message: effect.message });
    else if (effect.kind === 'persist') {
      if (effect.activates && effect.decided !== null) {
        master.shown.push({ version: effect.decided.to.version, atMs: this.nowMs });
        later({ kind: 'exposed', token: effect.token, atMs: this.nowMs });
      }
      if (!this.masterWrites(effect.operations)) return;
      const error = this.masterWriteError(effect.operations);
      if (error !== null) return later({ kind: 'persisted', token: effect.token, error });
      master.records.apply(effect.operations);
      if (effect.decided !== null)
        master.records.apply([{ kind: 'put', key: ['user', 'tip'], value: effect.decided.to }]);
      later({ kind: 'persisted', token: effect.token, error: null });
    } else if (effect.kind === 'callUser') {
      if (effect.call.name === 'delta')
        later({
          kind: 'answered',
          token: effect.token,
          answer: { kind: 'done', bytes: this.userDelta(effect.call.to.version) },
        });
      else {
        if (effect.call.name === 'restore')
          this.restores.push({ to: effect.call.to?.version ?? 0, dropped: effect.call.dropped });
        if (effect.call.name === 'restore') this.restored.push(effect.call.dropped);
        if (effect.call.name === 'recover')
          master.records.apply([{ kind: 'put', key: ['user', 'tip'], value: effect.call.committed }]);
        later({ kind: 'answered', token: effect.token, answer: { kind: 'done' } });
      }
    } else if (effect.kind === 'adopt') {
      // The layer's own files hold the copy before the core hears of it.
      master.records.apply([{ kind: 'put', key: ['user', 'tip'], value: effect.to }]);
      later({ kind: 'transferred', token: effect.token, error: null, tip: effect.to });
    } else if (effect.kind === 'settle') this.results.set(effect.command, effect.result);
    else if (effect.kind === 'halt') master.halted = effect.text;
    else if (effect.kind === 'offerBulk') {
      const { to, epoch, request, mode, from, at } = effect;
      this.#deliver({
        from: master.peer,
        to,
        epoch,
        message: { kind: 'bulk-offer', request, mode, from, to: at, port: 1, token: 't'.repeat(32) },
      });
    }
  }

  #slaveStep(slave: SlaveNode, input: SlaveInput): void {
    if (!slave.alive) return;
    for (const effect of slave.core.step(input, this.localMs(slave))) this.#slaveEffect(slave, effect);
  }

  /** What this slave's monotonic clock shows. */
  localMs({ clock }: SlaveNode): number {
    return clock.aheadMs + this.nowMs * clock.rate;
  }

  view(name: string): SlaveView {
    const slave = this.slave(name);
    return slave.core.view(this.localMs(slave));
  }

  /** By the test's clock. */
  #wakeOf({ core, clock }: SlaveNode): number {
    return (Math.min(core.nextWakeMs(), core.nextInstantMs()) - clock.aheadMs) / clock.rate;
  }

  #slaveEffect(slave: SlaveNode, effect: SlaveEffect): void {
    this.#log(slave.name, effect);
    const later = (input: SlaveInput): void => {
      this.#queue.push(() => {
        if (slave.alive) this.#slaveStep(slave, input);
      });
    };
    switch (effect.kind) {
      case 'send':
        return this.#deliver({ from: slave.peer, to: effect.to, epoch: effect.epoch, message: effect.message });
      case 'persist': {
        if (!this.slaveWrites(slave.name, effect.operations)) return;
        const error = this.slaveWriteError(slave.name);
        if (error !== null) return later({ kind: 'persisted', token: effect.token, error });
        slave.records.apply(effect.operations);
        slave.kept.push(...effect.operations.filter(({ kind, key }) => kind === 'put' && key.includes('prepared')));
        return later({ kind: 'persisted', token: effect.token, error: null });
      }
      case 'callUser': {
        const { call } = effect;
        const version = call.name === 'prepare' ? call.change.to.version : call.to.version;
        slave.calls.push(`${call.name} ${version}`);
        const answer = call.name === 'prepare' ? (slave.veto?.(version) ?? null) : null;
        if (call.name === 'prepare' && slave.holdsPrepare) {
          slave.lateToken = effect.token;
          return;
        }
        if (answer?.kind === 'failed' && answer.late === true) slave.lateToken = effect.token;
        return later({ kind: 'answered', token: effect.token, answer: answer ?? { kind: 'done' } });
      }
      case 'commitUser': {
        const { change } = effect;
        if (slave.failCommits > 0) {
          slave.failCommits -= 1;
          return later({ kind: 'answered', token: effect.token, answer: { kind: 'failed', reason: 'disk on fire' } });
        }
        if (change.from !== null && !sameTip(change.from, slave.tip))
          throw new Error(`${slave.name} applies ${showTip(change.to)} on ${showTip(slave.tip)}`);
        slave.calls.push(`commit ${change.to.version}`);
        if (effect.activates) {
          if (slave.holdsCommit) return;
          slave.shown.push({ version: change.to.version, atMs: this.nowMs });
          later({ kind: 'exposed', token: effect.token, atMs: this.localMs(slave) });
          if (!this.slaveWrites(slave.name, effect.operations)) return;
        }
        slave.tip = change.to;
        slave.applied.push(change.to.version);
        slave.records.apply(effect.operations);
        return later({ kind: 'answered', token: effect.token, answer: { kind: 'done' } });
      }
      case 'fetchBulk':
        if (effect.mode === 'snapshot') {
          slave.calls.push(`install ${effect.to.version}`);
          slave.tip = effect.to;
        }
        return later({ kind: 'transferred', token: effect.token, error: null });
      case 'offerBulk': {
        const { to, epoch, request, at } = effect;
        const offer = { kind: 'bulk-offer', request, mode: 'snapshot', from: null, to: at, port: 1 } as const;
        return this.#deliver({ from: slave.peer, to, epoch, message: { ...offer, token: 't'.repeat(32) } });
      }
      case 'halt':
        slave.halted = effect.text;
        return;
      default:
        return;
    }
  }

  #log(node: string, effect: MasterEffect | SlaveEffect): void {
    const at = this.nowMs.toFixed(1).padStart(9);
    if (effect.kind === 'send') {
      const to = effect.to === 'all' ? 'all' : effect.to.node;
      this.trace.push(`${at} ${node} → ${to}: ${describe(effect.message)}`);
    } else if (effect.kind === 'event') this.trace.push(`${at} ${node} · ${effect.event.name}`);
    else if (effect.kind === 'callUser') this.trace.push(`${at} ${node} calls ${effect.call.name}`);
    else if (effect.kind === 'commitUser') this.trace.push(`${at} ${node} commits v${effect.change.to.version}`);
    else if (effect.kind === 'persist')
      this.trace.push(
        `${at} ${node} persists ${effect.operations.map(({ kind, key }) => `${kind} ${String(key[3] ?? key[2])}`).join(', ')}`,
      );
    else if (effect.kind === 'settle') this.trace.push(`${at} ${node} settles ${effect.result.kind}`);
    else this.trace.push(`${at} ${node} ${effect.kind}`);
  }
}

function wakeOf(core: MasterCore): number {
  return Math.min(core.nextWakeMs(), core.nextInstantMs());
}

function describe(message: Message): string {
  switch (message.kind) {
    case 'prepare':
      return `prepare r${message.round} ${showTip(message.from)} → ${showTip(message.to)} (${message.content.kind})`;
    case 'announce':
      return `announce ${showTip(message.from)} → ${showTip(message.to)} (${message.content.kind})`;
    case 'vote':
      return `vote r${message.round.number} ${message.upToDate && message.canProcess ? 'yes' : `no: ${message.reason}`}`;
    case 'commit':
    case 'abort':
      return `${message.kind} r${message.round.number} ${showTip(message.to)}`;
    case 'arming':
      return `${message.armed ? 'arming' : 'disarming'} r${message.round.number} ${showTip(message.to)} #${message.order}`;
    case 'heartbeat':
      return `heartbeat ${showTip(message.tip)} lowest r${message.lowestOpenRound}`;
    case 'status':
      return `status ${showTip(message.tip)} ${message.state}`;
    case 'delta-request':
      return `delta-request ${showTip(message.from)} → ${message.to === null ? 'newest' : showTip(message.to)}`;
    case 'deltas':
      return `deltas ${message.steps.map(({ from, to }) => `${showTip(from)} → ${showTip(to)}`).join(', ')}`;
    case 'inquiry':
      return `inquiry r${message.round.number}`;
    case 'resolution':
      return `resolution r${message.round.number} ${message.outcome}`;
    default:
      return message.kind;
  }
}
