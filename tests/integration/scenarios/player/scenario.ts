import type { ContentChoice, DeliveryMode, Phases, VoterPolicy } from '../../../../shared/protocol/kernel/outcome.js';
import type { Json, Operation } from '../../../../shared/protocol/key-value/operations.js';
import type { MessageKind } from '../../../../shared/protocol/wire/messages.js';

/** A scenario as its file says it; `read.ts` makes it, `play.ts` plays it. Durations are milliseconds. */
export interface Scenario {
  readonly file: string;
  readonly title: string;
  /** Rows of `docs/guarantees.md` that it shows: T1 to T15, G1 to G15, R1 to R26. */
  readonly shows: readonly string[];
  readonly data: 'key-value' | 'counter';
  readonly slaves: number;
  /** Under simulation it is played with the seeds 1 to this. */
  readonly seeds: number;
  /** Null: it can be played with real processes, too. Otherwise the reason why it can't. */
  readonly notReal: string | null;
  /** Bound of the master's delta history; null: the product's. */
  readonly historyBytes: number | null;
  /** How long one callback of a slave may take; null: the product's. */
  readonly callbackMs: number | null;
  readonly ending: 'converged' | 'as it is';
  readonly steps: readonly Step[];
}

export interface Step {
  readonly line: number;
  /** The step as the file has it, on one line. */
  readonly text: string;
  readonly note: string | null;
  readonly action: Action;
}

export type Action =
  | { readonly kind: 'start'; readonly nodes: readonly string[]; readonly crashAt: CrashAt | null }
  | { readonly kind: 'kill'; readonly nodes: readonly string[] }
  | { readonly kind: 'ready'; readonly nodes: readonly string[]; readonly withinMs: number }
  | { readonly kind: 'twin'; readonly of: string; readonly as: string }
  | { readonly kind: 'change'; readonly request: ChangeRequest; readonly as: string | null; readonly expect: EndMatch }
  | { readonly kind: 'outcome'; readonly of: string; readonly expect: EndMatch; readonly withinMs: number }
  | { readonly kind: 'veto'; readonly veto: Veto }
  | { readonly kind: 'accept'; readonly node: string }
  | { readonly kind: 'misbehave'; readonly misbehaviour: Misbehaviour }
  | { readonly kind: 'drop'; readonly match: PacketMatch; readonly as: string }
  | { readonly kind: 'hold'; readonly match: PacketMatch; readonly as: string }
  | { readonly kind: 'release'; readonly name: string }
  | { readonly kind: 'partition'; readonly one: readonly string[]; readonly other: readonly string[] }
  | { readonly kind: 'heal' }
  | { readonly kind: 'disk'; readonly node: string }
  | { readonly kind: 'crash before'; readonly node: string; readonly message: MessageKind }
  | { readonly kind: 'crash at'; readonly node: string; readonly moment: Moment }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'mark' }
  | { readonly kind: 'expect'; readonly expectation: Expectation };

/** A named crash point of the product, armed when the process starts. */
export interface CrashAt {
  readonly name: 'after-decision';
  readonly occurrence: number;
}

/** Moments that only the simulated disk can show. */
export const moments = [
  'before-decision',
  'after-decision',
  'during-commit',
  'after-commit',
  'during-install',
] as const;
export type Moment = (typeof moments)[number];

export interface ChangeRequest {
  readonly data:
    | { readonly kind: 'operations'; readonly operations: readonly Operation<Json>[] }
    | {
        readonly kind: 'add';
        readonly amount: number;
        /** Null: one above the newest. */
        readonly version: number | null;
        /** Null: it isn't named. */
        readonly prior: number | null;
        /** `given`: in the call. `asked`: the master's layer is asked for it. */
        readonly delta: 'given' | 'asked';
        readonly content: ContentChoice | null;
        readonly paddingBytes: number;
      };
  readonly phases: Phases | null;
  readonly voters: VoterPolicy | null;
  readonly timeoutMs: number | null;
  readonly commitBy: DeliveryMode | null;
  readonly abortBy: DeliveryMode | null;
  readonly wait: 'decided' | 'exposed' | null;
}

/** What became of a change, whichever way it was asked for. */
export type ChangeEnd =
  | { readonly kind: 'committed'; readonly version: number }
  | {
      readonly kind: 'aborted';
      readonly reason: string;
      readonly refusals: readonly { readonly node: string; readonly reason: string }[];
    }
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'rejected'; readonly code: string; readonly text: string };

export interface EndMatch {
  readonly kind: ChangeEnd['kind'];
  /** The abort's reason, or the rejection's code. */
  readonly reason: string | null;
  /** Exactly these nodes refused or were silent. */
  readonly by: readonly string[] | null;
  /** A text in the reason of each refusal, or in that of an unknown outcome. */
  readonly saying: string | null;
  readonly version: number | null;
}

export interface Veto {
  readonly node: string;
  readonly reason: string;
  /** Only this key. */
  readonly key: string | null;
  /** Only values, or additions, below this. */
  readonly below: number | null;
}

export const callbackNames = [
  'open',
  'prepare',
  'commit',
  'abort',
  'install',
  'delta',
  'restore',
  'committed',
] as const;
export type CallbackName = (typeof callbackNames)[number];

export interface Misbehaviour {
  readonly node: string;
  readonly callback: CallbackName;
  /** `nothing`: returns nothing at all. `lie`: `open` tells of a state that can't be. */
  readonly how: 'throw' | 'hang' | 'nothing' | 'lie';
  readonly times: number;
  /** A hanging call answers after this; null: never. */
  readonly forMs: number | null;
}

export interface PacketMatch {
  /** Datagrams with one of these messages; null: any. */
  readonly kinds: readonly MessageKind[] | null;
  /** Datagrams with a message of any other kind; null: no matter. */
  readonly except: readonly MessageKind[] | null;
  readonly from: readonly string[] | null;
  readonly to: readonly string[] | null;
  readonly percent: number;
}

export interface Count {
  readonly exactly: boolean;
  readonly count: number;
}

export interface Expectation {
  readonly nodes: readonly string[];
  readonly version: number | null;
  readonly state: string | null;
  readonly values: ReadonlyMap<string, Json>;
  readonly missing: readonly string[];
  readonly total: number | null;
  readonly inDoubt: number | null;
  readonly snapshots: Count | null;
  readonly halted: string | null;
  readonly down: boolean | null;
  /** Tip and content are one at all of the nodes. */
  readonly same: boolean;
  // Since the last `mark`, or since the start of the scenario:
  readonly exposed: readonly number[] | null;
  readonly calls: ReadonlyMap<CallbackName, Count>;
  readonly sent: ReadonlyMap<MessageKind, Count>;
  readonly events: ReadonlyMap<string, Count>;
  readonly withinMs: number;
  /** Holds at every moment of this time. */
  readonly throughoutMs: number | null;
}
