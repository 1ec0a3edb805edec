import type { Epoch } from '../../../../shared/protocol/kernel/ids.js';
import { epochKey } from '../../../../shared/protocol/kernel/ids.js';
import type { ClockView } from '../../../../slave/service/core/view.js';
import type { CheckerFactory, SimulatedClock } from './checker.js';

/** What a master's clock showed at one true time, and how it goes on from there. */
interface Reference {
  readonly node: string;
  readonly atMs: number;
  readonly groupMs: number;
  readonly clock: SimulatedClock;
  readonly hiddenMs: number;
}

/**
 * G15: the group time is inside the interval that a slave reports. The group time of a reign is what its master said when it
 * first told anybody, carried on at the true rate of that master's clock: also past its death, and past a sleep of its machine, in which
 * its clock stands still. Such a sleep begins a new era; intervals are judged by the era that they are of.
 *
 * A time of day that is set back hides a sleep of as long from its machine, the slave's or the master's: by so much the interval may be off.
 */
export const g15ClockError: CheckerFactory = ({ nowMs, clockOf, fail, judged }) => {
  const references = new Map<string, Reference>();

  const judge = (node: string, promised: Epoch, clock: ClockView): void => {
    const reference = references.get(keyOf(promised, clock.era));
    if (reference === undefined) {
      fail('G15', `${node} reports a group time of era ${clock.era} that no master ever told`);
      return;
    }
    judged('G15');
    const trueMs = reference.groupMs + (nowMs() - reference.atMs) * reference.clock.rate;
    const sleptHereMs = clockOf(node)?.hiddenSleepMs ?? 0;
    const sleptThereMs = reference.clock.hiddenSleepMs - reference.hiddenMs;
    const isInside =
      clock.earliestMs - sleptThereMs * hidingMargin - roundingMs <= trueMs &&
      trueMs <= clock.latestMs + sleptHereMs * hidingMargin + roundingMs;
    if (!isInside) fail('G15', `${node} reports ${reportedText(clock)}, and it is ${trueMs} at ${reference.node}`);
    if (clock.groupMs < clock.earliestMs || clock.groupMs > clock.latestMs)
      fail('G15', `${node} gives ${clock.groupMs} as the likeliest of ${reportedText(clock)}`);
  };

  return {
    id: 'G15',
    observe: (observation) => {
      if (observation.kind === 'slave') {
        const { clock, promised } = observation.view;
        if (clock !== null) judge(observation.node, promised, clock);
      } else if (observation.kind === 'sent' && observation.role === 'master') {
        const { epoch, message } = observation.packet;
        if (message.kind !== 'clock') return;
        const key = keyOf(epoch, message.era);
        const clock = clockOf(observation.node);
        if (clock === null || references.has(key)) return;
        const { node } = observation;
        references.set(key, { node, atMs: nowMs(), groupMs: message.sentMs, clock, hiddenMs: clock.hiddenSleepMs });
      }
    },
  };
};

/** Clocks run at different rates while one of them sleeps. */
const hidingMargin = 1.01;
/** Of the simulator's own sums, with times of day in them. */
const roundingMs = 0.01;

function keyOf(epoch: Epoch, era: number): string {
  return `${epochKey(epoch)} ${era}`;
}

function reportedText(clock: ClockView): string {
  return `${clock.earliestMs} to ${clock.latestMs}, era ${clock.era}`;
}
