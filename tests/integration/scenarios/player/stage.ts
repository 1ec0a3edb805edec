import type { Json } from '../../../../shared/protocol/key-value/operations.js';
import type { MessageKind } from '../../../../shared/protocol/wire/messages.js';
import type {
  CallbackName,
  ChangeEnd,
  ChangeRequest,
  CrashAt,
  Misbehaviour,
  Moment,
  PacketMatch,
  Veto,
} from './scenario.js';

/** A step that this kind of stage has no means for: said in one line, never passed over in silence. */
export class CannotStage extends Error {
  override readonly name = 'CannotStage';
}

/** What a node says of itself. */
export interface NodeAccount {
  /** A slave's state; a master's phase. */
  readonly state: string;
  readonly version: number;
  /** Equal exactly for equal tips. */
  readonly tip: string;
  /** Of the content; null when the node can't say. */
  readonly digest: string | null;
  readonly inDoubt: number;
  readonly snapshots: number;
  /** A master that may decide; a slave that the master knows. */
  readonly ready: boolean;
}

export interface NodeEvent {
  readonly name: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface RunningChange {
  /** Null while nobody knows. */
  readonly end: ChangeEnd | null;
}

/** A group that a scenario is played on: in simulation, or of real processes. */
export interface Stage extends AsyncDisposable {
  readonly nowMs: number;
  start(node: string, crashAt: CrashAt | null): Promise<void>;
  kill(node: string): Promise<void>;
  /** A second slave with the name of a first and a store of its own, known to the scenario as `as`. */
  twin(of: string, as: string): Promise<void>;
  change(request: ChangeRequest): Promise<RunningChange>;
  veto(veto: Veto): Promise<void>;
  accept(node: string): Promise<void>;
  misbehave(misbehaviour: Misbehaviour): Promise<void>;
  intercept(name: string, what: 'drop' | 'hold', match: PacketMatch): Promise<void>;
  /** Ends an interception; what was held arrives now. */
  release(name: string): Promise<void>;
  partition(one: readonly string[], other: readonly string[]): Promise<void>;
  heal(): Promise<void>;
  failDisk(node: string): Promise<void>;
  crashBefore(node: string, message: MessageKind): Promise<void>;
  crashAt(node: string, moment: Moment): Promise<void>;
  pass(ms: number): Promise<void>;
  /** True as soon as the condition holds; false when it doesn't within the time. */
  until(condition: () => Promise<boolean>, withinMs: number): Promise<boolean>;
  /** Null while the node is down. */
  account(node: string): Promise<NodeAccount | null>;
  /** Undefined: there is no such key. */
  valueOf(node: string, key: string): Promise<Json | undefined>;
  totalOf(node: string): Promise<number>;
  /** What the node did since the last mark, in this process of it. */
  sent(node: string): Promise<ReadonlyMap<MessageKind, number>>;
  events(node: string): readonly NodeEvent[];
  calls(node: string): ReadonlyMap<CallbackName, number>;
  mark(): Promise<void>;
  /** The end of every scenario that doesn't end as it is: faults are over, everybody converges. Null: they did. */
  converge(): Promise<string | null>;
  /** What the stage itself found wrong: broken guarantees, bugs. */
  findings(): readonly string[];
}
