import type { DataSetId } from '../../../../shared/protocol/kernel/ids.js';
import type { Durability } from '../../../../shared/protocol/kernel/outcome.js';
import type { StoreReader } from '../../../../shared/protocol/kernel/store.js';
import type { Observation } from '../observation.js';
import type { Truth } from '../truth.js';

export const guaranteeIds = [
  'G1',
  'G2',
  'G3',
  'G4',
  'G5',
  'G6',
  'G7',
  'G8',
  'G9',
  'G10',
  'G11',
  'G12',
  'G13',
  'G14',
  'G15',
  'G16',
] as const;
export type GuaranteeId = (typeof guaranteeIds)[number];

/** The clock of one process, as only the simulator knows it. */
export interface SimulatedClock {
  /** Ticks per true tick. */
  readonly rate: number;
  /** For how long its machine slept without any trace in its clocks: the time of day was set back by as much. */
  readonly hiddenSleepMs: number;
}

/** What a checker may ask besides what it observes. */
export interface CheckContext {
  readonly dataSet: DataSetId;
  readonly durability: Durability;
  /** The longest that a lease lasts in this run, milliseconds of true time. */
  readonly leaseMs: number;
  /** True when a second master may take over: two sides of a cut may then commit, and the older side loses. */
  readonly takeOver: boolean;
  readonly maxOpenRounds: number;
  readonly truth: Truth;
  readonly nowMs: () => number;
  /** Of the process that runs on this node now; null when none does. */
  readonly clockOf: (node: string) => SimulatedClock | null;
  /** A node's disk as a new process would find it now. */
  readonly durable: (node: string) => StoreReader | null;
  readonly fail: (id: GuaranteeId, text: string) => void;
  /** This guarantee could have been broken just now, and was looked at. What coverage counts. */
  readonly judged: (id: GuaranteeId) => void;
}

/** One guarantee. It sees everything that happens, in order, and is asked once more at the end of a run that converged. */
export interface Checker {
  readonly id: GuaranteeId;
  observe(observation: Observation): void;
  finish?(): void;
}

export type CheckerFactory = (context: CheckContext) => Checker;
