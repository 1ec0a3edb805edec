import type { NodeId } from '../../../shared/protocol/kernel/ids.js';
import { sameRound, sameTip } from '../../../shared/protocol/kernel/ids.js';
import type { ArmingTally } from '../../../shared/protocol/kernel/outcome.js';
import type { Armed } from './armed-change.js';
import { isToSwitch } from './armed-change.js';
import type { Member, Members } from './members.js';

/** Who of the voters has told in a status what the newest note asks for. */
export class ArmingReports {
  constructor(private readonly members: Members) {}

  /** In this reign, and durably. */
  has(armed: Armed, member: Member): boolean {
    const report = member.status?.arming ?? null;
    if (report === null || !sameRound(report.round, armed.record.round)) return false;
    return report.order === armed.order && report.armed === isToSwitch(armed);
  }

  /** Whoever shows it tells of no arming any more. */
  hasOrShows(armed: Armed, member: Member): boolean {
    const tip = member.status?.tip ?? null;
    return this.has(armed, member) || (tip !== null && sameTip(tip, armed.record.change.to));
  }

  missing(armed: Armed): NodeId[] {
    return armed.record.voters.filter((node) => {
      const member = this.members.named(node);
      return member === undefined || !this.has(armed, member);
    });
  }

  tally(armed: Armed): ArmingTally {
    const missing = isToSwitch(armed) ? this.missing(armed) : armed.record.voters;
    return { armed: armed.record.voters.length - missing.length, of: armed.record.voters.length, missing };
  }

  voters(armed: Armed): Member[] {
    return armed.record.voters.flatMap((node) => this.members.named(node) ?? []);
  }
}
