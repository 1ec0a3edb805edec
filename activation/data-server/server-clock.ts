import { randomBytes } from 'node:crypto';
import type { Clock } from '../../shared/runtime/ports.js';
import type { ClockBody } from '../core/bodies.js';

/**
 * The data server's clock, which all instants are of: the wall clock at the start, and what the monotonic clock has run since.
 * Stepping the wall clock changes nothing before the next start; then the clock has another id.
 */
export class ServerClock {
  readonly id: string = randomBytes(8).toString('hex');
  readonly #clock: Clock;
  readonly #offsetMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#offsetMs = clock.wallMs() - clock.monotonicMs();
  }

  /** Milliseconds since 1970, with fractions. */
  nowMs(): number {
    return this.#clock.monotonicMs() + this.#offsetMs;
  }

  /** The two stamps of an answer that is made now. */
  stamps(receivedMs: number): ClockBody {
    return { id: this.id, receivedMs, sentMs: this.nowMs() };
  }
}
