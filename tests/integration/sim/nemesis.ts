import type { Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameTip } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import type { FaultKind, Swarm } from './faults.js';
import { drawKind } from './faults.js';
import { LaterFaults } from './later-faults.js';
import type { World } from './world.js';

interface MasterBackup {
  readonly armedVersion: number | null;
  readonly tip: Tip;
  readonly restore: () => void;
}

/** How long the supervisor of a machine waits before it starts a process again that gave up. */
const superviseEveryMs = 500;

/** Brings faults over a world, as its seed draws them: each run has its own few kinds, so that rare ones meet. */
export class Nemesis {
  readonly kinds: readonly FaultKind[];
  readonly #swarm: Swarm;
  readonly #later: LaterFaults;
  readonly #world: World;
  readonly #random: Random;
  readonly #pauseMs: number;
  readonly halts: string[] = [];
  #running = false;
  #backup: MasterBackup | null = null;
  /** Puts the master's own disk back while an empty or old one is in its place. */
  #putBack: (() => void) | null = null;

  constructor(options: { readonly world: World; readonly random: Random; readonly swarm: Swarm }) {
    this.#world = options.world;
    this.#random = options.random;
    this.#swarm = options.swarm;
    this.kinds = [...options.swarm.keys()];
    this.#pauseMs = 200 + options.random.next() * 4000;
    this.#later = new LaterFaults({
      world: options.world,
      random: options.random,
      someSlave: () => this.#someSlave(),
      someNode: () => this.#someNode(),
      crash: (name) => {
        this.#crash(name);
      },
      later: (delayMs, action) => {
        this.#after(delayMs, action);
      },
    });
  }

  start(): void {
    this.#running = true;
    this.#next();
    this.#supervise();
  }

  /** No new faults; what is broken is mended, who is down starts. The supervisor stays. */
  stop(): void {
    this.#running = false;
    this.#endStaleMaster();
    this.#later.end();
    this.#world.heal();
    for (const node of this.#world.nodes) {
      const hasLied = node.role === 'slave' && node.mood.lied;
      if (node.alive && (node.halted !== null || node.disk.failed || hasLied)) this.#world.crash(node.name);
      if (!node.alive && (node.starts > 0 || node.role === 'slave' || node === this.#world.master)) node.start();
    }
    if (this.#world.masters.length > 1) this.#operate();
  }

  /** After a take-over a slave may hold what only the older master committed: the operator says that it is to be given up. */
  #operate(): void {
    this.#world.timeline.after(superviseEveryMs, () => {
      for (const slave of this.#world.slaves) {
        // Refused when the slave found back by itself meanwhile.
        if (slave.service?.view().state === 'diverged') slave.service.discard().catch(() => undefined);
      }
      this.#operate();
    });
  }

  #next(): void {
    this.#world.timeline.after(this.#random.next() * 2 * this.#pauseMs, () => {
      if (!this.#running) return;
      const kind = this.#draw();
      // An empty master can't know of a group that it doesn't hear, so it is left to meet the group undisturbed.
      const isFree = this.#putBack === null && !this.#later.wantsQuiet;
      if (kind !== undefined && isFree) this.#bring(kind);
      const backUpChance = this.kinds.includes('stale-master') || this.kinds.includes('old-master') ? 0.4 : 0;
      if (this.#putBack === null && this.#random.chance(backUpChance)) this.#backUp();
      this.#next();
    });
  }

  /** Processes that gave up exit, and are started again, as an init system does; so is one whose disk failed. */
  #supervise(): void {
    this.#world.timeline.after(superviseEveryMs * (0.5 + this.#random.next()), () => {
      for (const node of this.#world.nodes) {
        if (!node.alive || (node.halted === null && !node.disk.failed)) continue;
        this.halts.push(`${node.name} at ${this.#world.nowMs.toFixed(0)} ms: ${node.halted ?? 'its disk failed'}`);
        this.#world.restart(node.name);
      }
      this.#supervise();
    });
  }

  /** The first campaign's kinds all weigh the same, and are drawn as its seeds drew them. */
  #draw(): FaultKind | undefined {
    const isEven = [...this.#swarm.values()].every((weight) => weight === 1);
    return isEven ? this.kinds[this.#random.below(this.kinds.length)] : drawKind(this.#random, this.#swarm);
  }

  #bring(kind: FaultKind): void {
    const random = this.#random;
    const { network, bulk } = this.#world;
    const slave = this.#someSlave();
    const forMs = 100 + random.next() * (random.chance(0.2) ? 12_000 : 3000);
    this.#world.trace.line(this.#world.nowMs, 'nemesis', `${kind} for ${forMs.toFixed(0)} ms`);
    const during = (begin: () => void, end: () => void): void => {
      begin();
      this.#after(forMs, end);
    };
    switch (kind) {
      case 'loss':
        during(
          () => {
            network.become({ loss: random.next() * 0.4 }, kind);
          },
          () => {
            network.become({ loss: 0 });
          },
        );
        return;
      case 'duplication':
        during(
          () => {
            network.become({ duplication: random.next() * 0.5 }, kind);
          },
          () => {
            network.become({ duplication: 0 });
          },
        );
        return;
      case 'reordering':
        during(
          () => {
            network.become({ reordering: random.next() * 0.3, lateMs: random.next() * 300 }, kind);
          },
          () => {
            network.become({ reordering: 0 });
          },
        );
        return;
      case 'delay':
        during(
          () => {
            network.become({ maxDelayMs: 1 + random.next() * 60 }, kind);
          },
          () => {
            network.become({ maxDelayMs: 0.4 });
          },
        );
        return;
      case 'corruption':
        during(
          () => {
            network.become({ corruption: random.next() * 0.1 }, kind);
          },
          () => {
            network.become({ corruption: 0 });
          },
        );
        return;
      case 'receiver-loss':
        during(
          () => {
            network.loseAt(slave, 0.3 + random.next() * 0.7);
          },
          () => {
            network.loseAt(slave, 0);
          },
        );
        return;
      case 'partition':
        this.#partition(forMs);
        return;
      case 'one-way-cut':
        this.#oneWayCut(forMs);
        return;
      case 'no-multicast':
        during(
          () => {
            network.become({ multicastDead: true }, kind);
          },
          () => {
            network.become({ multicastDead: false });
          },
        );
        return;
      case 'no-unicast':
        during(
          () => {
            network.become({ unicastDead: true }, kind);
          },
          () => {
            network.become({ unicastDead: false });
          },
        );
        return;
      case 'crash-master':
        this.#crash(this.#world.leader?.name ?? this.#world.master.name, kind);
        return;
      case 'crash-slave':
        this.#crash(slave, kind);
        return;
      case 'crash-all':
        for (const node of this.#world.nodes) if (node.alive) this.#crash(node.name, kind);
        return;
      case 'slow-disk':
        this.#slowDisk(forMs);
        return;
      case 'failing-disk':
        this.#someNode().disk.failNext();
        return;
      case 'pause':
      case 'suspend':
        this.#pause(kind, forMs);
        return;
      case 'slow-bulk':
        during(
          () => {
            bulk.become({ bytesPerMs: 0.05 + random.next(), latencyMs: 20 });
            this.#world.struck(kind);
          },
          () => {
            bulk.heal();
          },
        );
        return;
      case 'strangers':
        this.#strangers();
        return;
      case 'stale-master':
      case 'empty-master':
      case 'old-master':
        // Often as long as it takes an unknown master to lead: the slaves' leases, a survey, and then some.
        this.#staleMaster(kind, random.chance(0.3) ? forMs : forMs + limits.maxLeaseMs + 2 * limits.surveyMs);
        return;
      case 'take-over':
        this.#takeOver();
        return;
      default:
        this.#later.bring(kind, forMs);
    }
  }

  /** Mending after the run healed already would break nothing, and `heal` did it. */
  #after(delayMs: number, action: () => void): void {
    this.#world.timeline.after(delayMs, () => {
      if (this.#running) action();
    });
  }

  #someSlave(): string {
    const { slaves } = this.#world;
    return slaves[this.#random.below(slaves.length)]?.name ?? 'none';
  }

  #someNode(): World['nodes'][number] {
    const { nodes, master } = this.#world;
    return nodes[this.#random.below(nodes.length)] ?? master;
  }

  #partition(forMs: number): void {
    const names = this.#world.nodes.map(({ name }) => name);
    const one = names.filter(() => this.#random.chance(0.4));
    const other = names.filter((name) => !one.includes(name));
    this.#world.network.partition(one, other);
    this.#after(forMs, () => {
      for (const a of one) {
        for (const b of other) {
          this.#world.network.mend(a, b);
          this.#world.network.mend(b, a);
        }
      }
    });
  }

  #oneWayCut(forMs: number): void {
    const from = this.#someNode().name;
    const to = this.#someNode().name;
    if (from === to) return;
    this.#world.network.cut(from, to);
    this.#after(forMs, () => {
      this.#world.network.mend(from, to);
    });
  }

  #crash(name: string, by?: FaultKind): void {
    if (by !== undefined && this.#world.node(name).alive) this.#world.struck(by);
    this.#world.crash(name);
    const downMs = this.#random.chance(0.5) ? this.#random.next() * 100 : this.#random.next() * 6000;
    this.#after(downMs, () => {
      // An intruder may be gone by now.
      this.#world.nodes.find((node) => node.name === name)?.start();
    });
  }

  #slowDisk(forMs: number): void {
    const { disk } = this.#someNode();
    const maxFlushMs = this.#random.chance(0.2) ? 1500 : 5 + this.#random.next() * 100;
    disk.become({ maxFlushMs });
    this.#after(forMs, () => {
      disk.become({ maxFlushMs: 0.4 });
    });
  }

  #pause(kind: 'pause' | 'suspend', forMs: number, { process } = this.#someNode()): void {
    process?.pause(kind);
    if (process !== null) this.#world.struck(kind);
    this.#after(forMs, () => {
      process?.resume();
      this.#world.sampleViews();
    });
  }

  /** Garbage from an address that nobody has. */
  #strangers(): void {
    const { network } = this.#world;
    const target = this.#someNode().name;
    const garbage = Uint8Array.from({ length: 1 + this.#random.below(1400) }, () => this.#random.below(256));
    network.inject(target, garbage, '10.9.9.9:999');
    this.#world.struck('strangers');
  }

  #backUp(): void {
    const { master } = this.#world;
    const tip = master.service?.view().tip ?? null;
    const armedVersion = master.service?.view().armed?.version ?? null;
    if (tip !== null) this.#backup = { tip, armedVersion, restore: master.disk.backup() };
  }

  /** The master's disk is lost, or an old backup of it is put in: it may not lead slaves that hold more (G13). */
  #staleMaster(kind: 'stale-master' | 'empty-master' | 'old-master', forMs: number): void {
    const { master, slaves, masters, network } = this.#world;
    const tip = master.service?.view().tip ?? null;
    const takesBackup = kind === 'stale-master' ? this.#random.chance(0.5) : kind === 'old-master';
    const backup = takesBackup ? this.#backup : null;
    if (kind === 'old-master' && backup === null) return;
    const isKnown = slaves.some((slave) => slave.alive && sameTip(slave.service?.view().tip ?? null, tip));
    // What was armed by then may be what is committed by now: such a backup lacks nothing, and may lead.
    const isAsNew = backup !== null && (sameTip(backup.tip, tip) || backup.armedVersion === tip?.version);
    if (masters.length > 1 || tip === null || !isKnown || isAsNew) return;
    network.heal();
    for (const slave of slaves) {
      slave.process?.resume();
      slave.start();
    }
    this.#world.crash(master.name);
    this.#putBack = master.disk.backup();
    this.#world.struck(backup === null ? 'empty-master' : 'old-master');
    if (backup === null) master.disk.wipe();
    else backup.restore();
    master.start();
    this.#after(forMs, () => {
      this.#endStaleMaster();
    });
  }

  #endStaleMaster(): void {
    const { master } = this.#world;
    if (this.#putBack === null) return;
    this.#world.crash(master.name);
    this.#putBack();
    this.#putBack = null;
    this.#backup = null;
    master.start();
  }

  #takeOver(): void {
    const { master } = this.#world;
    const second = this.#world.masters[1];
    if (second === undefined) return;
    if (second.alive) {
      this.#crash(second.name);
      return;
    }
    // Mostly it is a master that hangs which is replaced: it wakes up in a group that has a newer one. One that goes on
    // committing is ahead of the copy that was adopted, and the newer one then refuses.
    if (second.starts === 0 && this.#random.chance(0.7))
      this.#pause('pause', 3500 + this.#random.next() * 1500, master);
    second.start();
    this.#world.struck('take-over');
  }
}
