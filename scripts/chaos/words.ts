/** What the processes on the hosts and the one that plays with them say to each other, over IPC. */

export interface NodeSetup {
  readonly name: string;
  readonly store: string;
  readonly interface: string;
  readonly group: string;
}

export type Order =
  | { readonly kind: 'open'; readonly setup: NodeSetup }
  | { readonly kind: 'account' }
  /** The master: no more changes. */
  | { readonly kind: 'rest' };

export interface Account {
  /** Of both data sets; null: there is no copy of one yet. */
  readonly tip: string | null;
  readonly digest: string;
  /** Of each of the data sets. */
  readonly states: readonly string[];
  /** Requests for something that was missed, since the process started. */
  readonly repairs: number;
  readonly snapshots: number;
  readonly fragmentsResent: number;
  /** The master: slaves that its multicast doesn't reach, as they say. */
  readonly unreached: readonly string[];
}

export type Report =
  | { readonly kind: 'opened' }
  /** `data set reign.version` of states that readers could see from now on. */
  | { readonly kind: 'exposed'; readonly versions: readonly string[] }
  | { readonly kind: 'in doubt'; readonly longestMs: number }
  | { readonly kind: 'aborted'; readonly version: string; readonly reason: string }
  /** A round was; several changes may share it. */
  | { readonly kind: 'committed' }
  /** How a change ended for its caller. */
  | { readonly kind: 'change'; readonly how: string }
  /** How a scheduled change ended for its caller. */
  | { readonly kind: 'scheduled'; readonly how: string }
  /** It is decided: its instant, by the clock that all hosts of this machine share, milliseconds. */
  | { readonly kind: 'armed'; readonly version: number; readonly atMs: number }
  /** It was taken back. */
  | { readonly kind: 'disarmed'; readonly version: number }
  /** All voters told when they switched; by their own clocks. */
  | { readonly kind: 'activated everywhere'; readonly spreadMs: number; readonly boundMs: number }
  /** This node showed it so long after its instant, by its own clock; null: it doesn't know. */
  | { readonly kind: 'activated'; readonly lateMs: number | null }
  /** Of the data set with scheduled changes: when this copy last called itself current at that version, by the shared clock. */
  | { readonly kind: 'current'; readonly version: number; readonly atMs: number }
  | { readonly kind: 'account'; readonly account: Account };

export const dataSet = 'chaos';
/** What changes at instants; what is armed holds up the changes behind it, so that it has a data set of its own. */
export const scheduledSet = 'chaos-scheduled';

/** One clock for all hosts, which are one machine: none of them may set it. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
