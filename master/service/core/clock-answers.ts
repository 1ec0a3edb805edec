import type { Peer } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { ClockRequest } from '../../../shared/protocol/wire/messages.js';
import type { MasterContext } from './context.js';

/**
 * Tells members the group time. Both stamps are of the step that uses the request: it came before that, and the answer
 * leaves after it, so that what the asker concludes is true however long either waited on its way.
 */
export class ClockAnswers {
  /** Rises when group time may have stood still, which nobody else can see. */
  #era = 1;

  constructor(private readonly context: MasterContext) {}

  answer(to: Peer, request: ClockRequest): void {
    const nowMs = this.context.groupNowMs();
    this.context.send(to, {
      kind: 'clock',
      member: to.incarnation,
      requestSentMs: request.sentMs,
      receivedMs: nowMs,
      sentMs: nowMs,
      era: this.#era,
    });
  }

  /** Group time goes on from where it was, whatever the time of day says: who set it must not move an instant. */
  onClockJumped(byMs: number): void {
    this.#era += 1;
    if (byMs >= limits.leaseMs / 4)
      this.context.event('clock jumped', 'warn', { byMs: Math.round(byMs), era: this.#era });
  }
}
