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
  /** Null: there is no copy yet. */
  readonly tip: string | null;
  readonly digest: string;
  readonly state: string;
  /** Requests for something that was missed, since the process started. */
  readonly repairs: number;
  readonly snapshots: number;
  readonly fragmentsResent: number;
  /** The master: slaves that its multicast doesn't reach, as they say. */
  readonly unreached: readonly string[];
}

export type Report =
  | { readonly kind: 'opened' }
  /** `reign.version` of states that readers could see from now on. */
  | { readonly kind: 'exposed'; readonly versions: readonly string[] }
  | { readonly kind: 'in doubt'; readonly longestMs: number }
  | { readonly kind: 'aborted'; readonly version: string; readonly reason: string }
  /** A round was; several changes may share it. */
  | { readonly kind: 'committed' }
  /** How a change ended for its caller. */
  | { readonly kind: 'change'; readonly how: string }
  | { readonly kind: 'account'; readonly account: Account };

export const dataSet = 'chaos';
