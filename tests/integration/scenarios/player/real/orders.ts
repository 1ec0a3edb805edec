import type { MessageKind } from '../../../../../shared/protocol/wire/messages.js';
import type { PacketMatch } from '../scenario.js';

/** What the player tells a node's wire tap, and what that answers. */
export type Order =
  | { readonly kind: 'intercept'; readonly name: string; readonly what: 'drop' | 'hold'; readonly match: PacketMatch }
  | { readonly kind: 'release'; readonly name: string }
  | { readonly kind: 'heal' }
  | { readonly kind: 'crash before'; readonly message: MessageKind }
  | { readonly kind: 'count' };

export interface OrderEnvelope {
  readonly id: number;
  readonly order: Order;
}

export interface Answer {
  readonly id: number;
  /** Messages that left since the process started, by kind. */
  readonly sent: Readonly<Partial<Record<MessageKind, number>>>;
}

export const nodeNameVariable = 'LOCKSTEP_SCENARIO_NODE';
