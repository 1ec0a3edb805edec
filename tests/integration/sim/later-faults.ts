import type { Random } from '../../../shared/protocol/kernel/random.js';
import { crc32 } from 'node:zlib';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { wireVersion } from '../../../shared/protocol/wire/header.js';
import type { FaultKind, firstFaults } from './faults.js';
import type { Observation } from './observation.js';
import type { SimMaster, SimSlave } from './sim-node.js';
import type { CallbackFault } from './spoiled-layer.js';
import type { World } from './world.js';

type LaterKind = Exclude<FaultKind, (typeof firstFaults)[number] | 'take-over' | 'empty-master' | 'old-master'>;

interface LaterFaultsOptions {
  readonly world: World;
  readonly random: Random;
  readonly someSlave: () => string;
  readonly someNode: () => SimMaster | SimSlave;
  /** Ends a node, and starts it again after a while. */
  readonly crash: (name: string) => void;
  /** Unless the faults have ended by then. */
  readonly later: (delayMs: number, action: () => void) => void;
}

/** More newcomers than this make the group another one. */
const maxNewcomers = 3;

const hourMs = 3_600_000;

/** The faults that came after the first campaign: at a moment of the protocol's own, or of the machine and its owner. */
export class LaterFaults {
  readonly #world: World;
  readonly #random: Random;
  readonly #options: LaterFaultsOptions;
  /** Said goodbye, and their processes are still there. */
  readonly #left = new Set<string>();
  #newcomers = 0;
  #second: SimMaster | null = null;

  constructor(options: LaterFaultsOptions) {
    this.#options = options;
    this.#world = options.world;
    this.#random = options.random;
  }

  /** An empty master can't know of a group that it doesn't hear: nothing else goes wrong while there is one. */
  get wantsQuiet(): boolean {
    return this.#second !== null;
  }

  /** Intruders go, callbacks are themselves again. */
  end(): void {
    this.#world.onEffect = null;
    this.#second = null;
    for (const name of this.#left) this.#world.crash(name);
    for (const intruder of [...this.#world.intruders]) this.#world.remove(intruder);
    for (const slave of this.#world.slaves) slave.mood.heal();
  }

  bring(kind: LaterKind, forMs: number): void {
    const random = this.#random;
    switch (kind) {
      case 'heavy-loss':
      case 'loss-bursts':
      case 'long-delay':
      case 'flapping-cut':
      case 'foreign-version':
        this.#onNetwork(kind, forMs);
        return;
      case 'multicast-unreached':
        // Long enough for nodes to notice, mostly.
        this.#muteGroup(this.#options.someNode().name, forMs + 3000 * random.next());
        return;
      case 'asymmetric-delay':
        this.#slowOneWay(forMs);
        return;
      case 'long-pause':
        // From 10 ms to 10 min, and each order of magnitude as often.
        this.#pause(kind, this.#options.someNode(), 10 * 60_000 ** random.next());
        return;
      case 'pause-at-write':
        this.#pauseAtWrite(this.#options.someNode(), 10 * 1000 ** random.next());
        return;
      case 'clock-jump':
      case 'clock-back':
      case 'clock-drift':
        this.#onClock(kind, forMs);
        return;
      case 'crash-at-effect':
        this.#crashAtEffect(this.#options.someNode().name);
        return;
      case 'lost-writes':
      case 'torn-flush': {
        const node = this.#options.someNode();
        node.disk.dieInFlush(kind, () => {
          this.#options.crash(node.name);
        });
        return;
      }
      case 'full-disk': {
        const { disk } = this.#options.someNode();
        disk.become({ full: true });
        this.#options.later(forMs, () => {
          disk.become({ full: false });
        });
        return;
      }
      case 'callbacks-throw':
      case 'callbacks-hang':
      case 'callbacks-lie':
      case 'callbacks-waver':
        this.#spoil(kind, forMs);
        return;
      default:
        this.#onMembers(kind, forMs);
    }
  }

  #onNetwork(
    kind: Extract<LaterKind, `${string}-loss` | 'loss-bursts' | 'long-delay' | 'flapping-cut' | 'foreign-version'>,
    forMs: number,
  ): void {
    const random = this.#random;
    const { network } = this.#world;
    const end = (action: () => void): void => {
      this.#options.later(forMs, action);
    };
    switch (kind) {
      case 'heavy-loss':
        network.become({ loss: 0.3 + random.next() * 0.2 }, kind);
        end(() => {
          network.become({ loss: 0 });
        });
        return;
      case 'loss-bursts':
        network.become({ burstMs: 1 + random.next() * 300, betweenBurstsMs: 1 + random.next() * 1000 }, kind);
        end(() => {
          network.become({ burstMs: 0 });
        });
        return;
      case 'long-delay':
        network.become({ reordering: 0.01 + random.next() * 0.1, lateMs: 180_000 * random.next() ** 2 }, kind);
        end(() => {
          network.become({ reordering: 0 });
        });
        return;
      case 'flapping-cut':
        this.#flap(this.#world.nowMs + forMs);
        return;
      case 'foreign-version':
        this.#speakAnotherVersion(forMs);
        return;
      default:
        return;
    }
  }

  #muteGroup(from: string, forMs: number): void {
    const { network, nodes } = this.#world;
    const deaf = this.#random.chance(0.4) ? nodes : nodes.filter(() => this.#random.chance(0.5));
    for (const { name } of deaf) network.muteGroup(from, name);
    this.#options.later(forMs, () => {
      for (const { name } of deaf) network.unmuteGroup(from, name);
    });
  }

  /** One node's way out, or its way in, to all others: what measures only round trips takes it for a clock that is off. */
  #slowOneWay(forMs: number): void {
    const { network, nodes } = this.#world;
    const one = this.#options.someNode().name;
    const byMs = 500 * this.#random.next() ** 2;
    const isOut = this.#random.chance(0.5);
    const links = nodes.map(({ name }) => (isOut ? ([one, name] as const) : ([name, one] as const)));
    for (const [from, to] of links) network.slow(from, to, byMs);
    this.#options.later(forMs, () => {
      for (const [from, to] of links) network.slow(from, to, 0);
    });
  }

  /** Two nodes hear each other, and don't, and do. */
  #flap(untilMs: number): void {
    const { network } = this.#world;
    const a = this.#options.someNode().name;
    const b = this.#options.someNode().name;
    if (a === b) return;
    const periodMs = 5 + this.#random.next() * 400;
    const turn = (isCut: boolean): void => {
      const ends = this.#world.nowMs >= untilMs;
      if (isCut && !ends) network.partition([a], [b], 'flapping-cut');
      else {
        network.mend(a, b);
        network.mend(b, a);
      }
      if (ends) return;
      this.#options.later(periodMs, () => {
        turn(!isCut);
      });
    };
    turn(true);
  }

  /** What a node of another version would send: a sound datagram but for the version, which a master and its slaves hear. */
  #speakAnotherVersion(forMs: number): void {
    const { network } = this.#world;
    const target = this.#options.someNode().name;
    const version = this.#random.chance(0.5) ? wireVersion + 1 : this.#random.below(256);
    if (version === wireVersion) return;
    const stop = network.dropWhen((packet) => {
      if (packet.toNode === target && !packet.corrupt && this.#random.chance(0.3)) {
        network.inject(target, ofVersion(packet.bytes, version), packet.from);
        this.#world.struck('foreign-version');
      }
      return false;
    });
    this.#options.later(forMs, stop);
  }

  #pause(kind: FaultKind, { process }: SimMaster | SimSlave, forMs: number): void {
    if (process === null) return;
    process.pause('pause');
    this.#world.struck(kind);
    this.#options.later(forMs, () => {
      process.resume();
      this.#world.sampleViews();
    });
  }

  #pauseAtWrite(node: SimMaster | SimSlave, forMs: number): void {
    this.#atEffect(
      ({ kind, node: name }) => kind === 'durable' && name === node.name,
      () => {
        this.#pause('pause-at-write', node, forMs);
      },
    );
  }

  /** Mostly soon, sometimes after a hundred effects. */
  #crashAtEffect(name: string): void {
    let left = 1 + Math.floor(100 * this.#random.next() ** 3);
    this.#atEffect(
      ({ node }) => node === name && --left === 0,
      () => {
        this.#world.struck('crash-at-effect');
        this.#options.crash(name);
      },
    );
  }

  /** One trap at a time: another replaces it. */
  #atEffect(isIt: (observation: Observation & { readonly node: string }) => boolean, action: () => void): void {
    const trap = (observation: Observation & { readonly node: string }): void => {
      if (!isIt(observation)) return;
      if (this.#world.onEffect === trap) this.#world.onEffect = null;
      action();
    };
    this.#world.onEffect = trap;
  }

  #onClock(kind: 'clock-jump' | 'clock-back' | 'clock-drift', forMs: number): void {
    const { process } = this.#options.someNode();
    // A clock that is set back while its machine sleeps hides the sleep; see the fault model.
    if (process === null || process.paused) return;
    this.#world.struck(kind);
    if (kind === 'clock-jump') process.jumpWall((2 * this.#random.next() - 1) * hourMs);
    if (kind === 'clock-back') process.jumpWall(-(1 + this.#random.next() * 2000));
    if (kind !== 'clock-drift') return;
    process.driftWall(0.9 + this.#random.next() * 0.2);
    this.#options.later(forMs, () => {
      process.driftWall(1);
    });
  }

  #spoil(fault: CallbackFault, forMs: number): void {
    const slave = this.#world.slave(this.#options.someSlave());
    const { mood } = slave;
    mood.become(fault, this.#random.chance(0.3) ? 1 : this.#random.next());
    // A lie is told at a start.
    if (fault === 'callbacks-lie') this.#options.crash(slave.name);
    this.#options.later(forMs, () => {
      mood.become(fault, 0);
      if (mood.lied) this.#options.crash(slave.name);
    });
  }

  #onMembers(
    kind: 'lost-disk' | 'join' | 'leave' | 'duplicate-name' | 'restart-all-slaves' | 'second-master',
    forMs: number,
  ): void {
    const slave = this.#world.slave(this.#options.someSlave());
    switch (kind) {
      case 'lost-disk':
        this.#world.crash(slave.name);
        slave.disk.wipe();
        this.#world.struck(kind);
        this.#world.contested.add(slave.name);
        this.#world.observe({ kind: 'diskLost', node: slave.name });
        this.#options.later(this.#random.next() * 2000, () => {
          slave.start();
        });
        return;
      case 'join':
        if (this.#newcomers >= maxNewcomers) return;
        this.#newcomers += 1;
        this.#world.addSlave().start();
        this.#world.struck(kind);
        return;
      case 'leave':
        if (slave.service === null) return;
        // Its process may end before the goodbye is out.
        slave.service.close().catch(() => undefined);
        this.#world.struck(kind);
        this.#left.add(slave.name);
        this.#options.later(this.#random.next() * 100, () => {
          this.#left.delete(slave.name);
          this.#options.crash(slave.name);
        });
        return;
      case 'duplicate-name':
        this.#duplicate(slave, forMs);
        return;
      case 'restart-all-slaves':
        for (const { name } of this.#world.slaves) {
          this.#options.later(this.#random.next() * 900, () => {
            this.#world.restart(name);
          });
        }
        this.#world.struck(kind);
        return;
      case 'second-master':
        this.#startSecondMaster(forMs);
        return;
    }
  }

  #duplicate(slave: SimSlave, forMs: number): void {
    if (!slave.alive || this.#world.intruders.size > 0) return;
    const twin = this.#world.addTwin(slave.name);
    this.#world.contested.add(slave.name).add(twin.name);
    twin.start();
    this.#world.struck('duplicate-name');
    this.#options.later(forMs, () => {
      this.#world.remove(twin);
    });
  }

  #startSecondMaster(forMs: number): void {
    const { master, slaves, masters, network } = this.#world;
    const hasCopies = slaves.some((slave) => (slave.service?.view().tip ?? null) !== null);
    if (
      masters.length > 1 ||
      this.#world.intruders.size > 0 ||
      !hasCopies ||
      (master.service?.view().tip ?? null) === null
    )
      return;
    network.heal();
    for (const slave of slaves) {
      slave.process?.resume();
      slave.start();
    }
    const second = this.#world.addSecondMaster();
    this.#second = second;
    second.start();
    this.#world.struck('second-master');
    if (this.#random.chance(0.5)) this.#options.crash(master.name);
    this.#options.later(forMs + this.#random.next() * 2 * limits.maxLeaseMs, () => {
      this.#world.remove(second);
      this.#second = null;
    });
  }
}

const versionAt = 4;
const tagAt = 40;
const tagBytes = 16;

/** The same datagram in another version of the protocol, with a checksum that is right for it. */
function ofVersion(bytes: Uint8Array, version: number): Uint8Array {
  const other = Buffer.from(bytes);
  other.writeUInt8(version, versionAt);
  other.writeUInt32BE(crc32(other.subarray(tagAt + tagBytes), crc32(other.subarray(0, tagAt))), tagAt);
  return other;
}
