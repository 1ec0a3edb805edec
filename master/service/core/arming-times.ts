import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { MasterContext } from './context.js';
import type { Members } from './members.js';

/** What an instant asks of the time before it: until when to decide, and until when to lend leases. */
export class ArmingTimes {
  constructor(
    private readonly context: MasterContext,
    private readonly members: Members,
  ) {}

  /** When it has to be decided by, on this clock, so that leases of whoever isn't armed end before the earliest switch. */
  armByMs(activateAtMs: number | undefined): number {
    if (activateAtMs === undefined) return Infinity;
    return this.leasesEndByMs(activateAtMs) - this.context.config.leaseMs * (1 + 2 * limits.clockRateError);
  }

  /** The soonest instant that can be asked for now, in group time. */
  earliestMs(): number {
    const { leaseMs } = this.context.config;
    const votesMs = Math.max(limits.armingMarginMs, 4 * this.members.slowestRoundTripMs());
    const aheadMs = leaseMs * (1 + 2 * limits.clockRateError) + limits.maxClockErrorMs + votesMs;
    return Math.ceil(this.context.groupNowMs() + aheadMs);
  }

  /** The clock of whoever is armed may be ahead by so much. */
  leasesEndByMs(activateAtMs: number): number {
    return this.localMs(activateAtMs) - limits.maxClockErrorMs;
  }

  /** On this clock. */
  localMs(groupMs: number): number {
    return groupMs - this.context.config.groupOffsetMs;
  }
}
