import type { Delta, Digest, Tip } from '../../../shared/protocol/kernel/ids.js';
import type { ScheduledOutcome, VoterPolicy } from '../../../shared/protocol/kernel/outcome.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type { Envelope } from '../../../shared/protocol/wire/messages.js';
import type { OutgoingPacket } from '../../../shared/runtime/node.js';
import type { MasterView } from '../../../master/service/core/view.js';
import type { SlaveView } from '../../../slave/service/core/view.js';

export type Role = 'master' | 'slave';

/** What the oracle sees of a run. `process` counts the lifetimes of a node. */
export type Observation =
  | { readonly kind: 'started'; readonly node: string; readonly role: Role; readonly process: number }
  | { readonly kind: 'crashed'; readonly node: string; readonly role: Role; readonly process: number }
  /** A core sent a message: before pacing, packing and the network. */
  | { readonly kind: 'sent'; readonly node: string; readonly role: Role; readonly packet: OutgoingPacket }
  /** A datagram is being handled; `envelopes` are what the node made of it. */
  | {
      readonly kind: 'receiving';
      readonly node: string;
      readonly role: Role;
      readonly corrupt: boolean;
      readonly envelopes: readonly Envelope[];
    }
  | { readonly kind: 'received'; readonly node: string; readonly role: Role; readonly corrupt: boolean }
  | { readonly kind: 'writing'; readonly node: string }
  | { readonly kind: 'durable'; readonly node: string; readonly operations: readonly StoreOperation[] }
  | { readonly kind: 'diskFailed'; readonly node: string }
  /** The disk is gone, with all that only it had; an empty one is in its place. */
  | { readonly kind: 'diskLost'; readonly node: string }
  /** The service called the user layer of a slave. */
  | {
      readonly kind: 'called';
      readonly node: string;
      readonly call: 'prepare' | 'commit' | 'abort' | 'install';
      readonly from: Tip | null;
      readonly to: Tip;
    }
  | { readonly kind: 'voted'; readonly node: string; readonly to: Tip; readonly yes: boolean }
  /** Readers of a slave see this state now. */
  | {
      readonly kind: 'exposed';
      readonly node: string;
      readonly how: 'open' | 'commit' | 'install';
      readonly from: Tip | null;
      readonly tip: Tip | null;
      readonly digest: Digest | null;
    }
  /** The master's user layer was told that a change is committed. */
  | { readonly kind: 'decided'; readonly node: string; readonly change: Delta; readonly digest: Digest | null }
  /** A caller starts to replicate a version, and names whose vote it needs. */
  | { readonly kind: 'replicating'; readonly node: string; readonly version: number; readonly voters: VoterPolicy }
  | { readonly kind: 'settled'; readonly node: string; readonly version: number; readonly outcome: ScheduledOutcome }
  | { readonly kind: 'master'; readonly node: string; readonly view: MasterView }
  | {
      readonly kind: 'slave';
      readonly node: string;
      readonly view: SlaveView;
      readonly backlogBytes: number;
      readonly hasSlept: boolean;
    }
  | { readonly kind: 'datagram'; readonly node: string; readonly bytes: number }
  /** Faults are over, everybody runs. */
  | { readonly kind: 'healed' }
  /** Everybody is where the master is; from here to the end nothing is to be repaired. */
  | { readonly kind: 'converged' };

export type ObservationKind = Observation['kind'];
