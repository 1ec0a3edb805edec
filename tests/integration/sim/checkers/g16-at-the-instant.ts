import type { RoundId, Tip } from '../../../../shared/protocol/kernel/ids.js';
import { epochKey, showTip, tipKey } from '../../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../../shared/protocol/kernel/limits.js';
import type { ActivationReport } from '../../../../shared/protocol/wire/messages.js';
import type { SlaveView } from '../../../../slave/service/core/view.js';
import type { CheckerFactory, SimulatedClock } from './checker.js';

interface Scheduled {
  readonly tip: Tip;
  readonly activateAtMs: number;
}

/** What a master's clock showed once, and how it goes on from there. */
interface Reference {
  readonly atMs: number;
  readonly groupMs: number;
  readonly clock: SimulatedClock;
}

/**
 * G16: no slave shows a scheduled change before its instant less the clock error that it may have, and none calls itself current
 * with a copy that lacks it once the instant and that error have passed. That all show it or none does, and nobody one that was
 * cancelled, is for G1: a cancellation that succeeded is an abort. And what a slave reports of its own switch holds the moment at
 * which its readers saw it, within the error that it reports.
 *
 * The group time is that of the masters, as each told it, carried on at the true rate of its clock. Where several reigns
 * disagree, since a time of day was set between them, what holds by any of them is enough.
 */
export const g16AtTheInstant: CheckerFactory = ({ leaseMs, takeOver, truth, nowMs, clockOf, fail, judged }) => {
  const scheduled = new Map<string, Scheduled>();
  const references = new Map<string, Reference>();
  const shown = new Map<string, Tip | null>();
  const tipOf = new Map<string, Tip>();
  /** When a slave's readers saw a scheduled change, in true time, until the slave has reported it. */
  const unreported = new Map<string, { readonly tip: Tip; readonly atMs: number; readonly hiddenMs: number }>();

  const groupTimes = (trueMs = nowMs()): readonly number[] =>
    [...references.values()].map(({ atMs, groupMs, clock }) => groupMs + (trueMs - atMs) * clock.rate);

  const onShown = (node: string, tip: Tip): void => {
    const change = scheduled.get(tipKey(tip));
    if (change === undefined) return;
    judged('G16');
    const newestMs = Math.max(...groupTimes());
    if (newestMs + limits.maxClockErrorMs + roundingMs >= change.activateAtMs) return;
    const earlyMs = change.activateAtMs - newestMs;
    fail('G16', `${node} shows ${showTip(tip)} ${earlyMs} ms before its instant`);
  };

  const onCurrent = (node: string, armed: SlaveView['armed'], hasSlept: boolean): void => {
    const oldestMs = Math.min(...groupTimes());
    const tip = shown.get(node) ?? null;
    for (const change of scheduled.values()) {
      // Whoever doesn't hold the change, armed or not, has its lease alone to go by, which outlives a sleep that goes unnoticed (G12).
      const holdsIt = armed?.version === change.tip.version;
      const sleepMs = hasSlept && !holdsIt ? leaseMs / 4 : 0;
      if (oldestMs <= change.activateAtMs + limits.maxClockErrorMs + sleepMs + roundingMs) continue;
      if (!truth.isCommitted(change.tip)) continue;
      judged('G16');
      if (truth.contains(tip, change.tip)) continue;
      // Two masters on two sides of a cut: the copy went on from what the other side had.
      if (takeOver) continue;
      const text = `${node} calls itself current at ${showTip(tip)}, ${oldestMs - change.activateAtMs} ms after ${showTip(change.tip)} was to show`;
      fail('G16', text);
    }
  };

  /** It may report it a little later than it did it, and never sooner. */
  const onReported = (node: string, { round, exposedAtMs, errorMs }: ActivationReport): void => {
    const exposed = unreported.get(node);
    const tip = tipOf.get(roundKey(round));
    if (exposed === undefined || exposedAtMs === null || tip === undefined || tipKey(tip) !== tipKey(exposed.tip))
      return;
    unreported.delete(node);
    judged('G16');
    const hiddenMs = ((clockOf(node)?.hiddenSleepMs ?? 0) - exposed.hiddenMs) * hidingMargin;
    const [fromMs, toMs] = [exposedAtMs - errorMs - roundingMs, exposedAtMs + errorMs + hiddenMs + roundingMs];
    const thenMs = groupTimes(exposed.atMs);
    if (groupTimes().some((lastMs, place) => fromMs <= lastMs && toMs >= (thenMs[place] ?? Infinity))) return;
    const text = `${node} reports that it showed ${showTip(tip)} at ${exposedAtMs}, off by ${errorMs} at most, and it was ${thenMs.join(' or ')}`;
    fail('G16', text);
  };

  return {
    id: 'G16',
    observe: (observation) => {
      if (observation.kind === 'sent' && observation.role === 'master') {
        const { epoch, message } = observation.packet;
        if (message.kind === 'prepare' && message.activateAtMs !== null) {
          scheduled.set(tipKey(message.to), { tip: message.to, activateAtMs: message.activateAtMs });
          tipOf.set(roundKey({ epoch, number: message.round }), message.to);
        }
        if (message.kind !== 'clock') return;
        const key = `${epochKey(epoch)} ${message.era}`;
        const clock = clockOf(observation.node);
        if (clock !== null && !references.has(key))
          references.set(key, { atMs: nowMs(), groupMs: message.sentMs, clock });
      } else if (observation.kind === 'sent') {
        const { message } = observation.packet;
        if (message.kind === 'status' && message.activation !== null) onReported(observation.node, message.activation);
      } else if (observation.kind === 'crashed') {
        unreported.delete(observation.node);
      } else if (observation.kind === 'exposed') {
        const { node, tip, how } = observation;
        shown.set(node, tip);
        if (how !== 'commit' || tip === null) return;
        onShown(node, tip);
        unreported.set(node, { tip, atMs: nowMs(), hiddenMs: clockOf(node)?.hiddenSleepMs ?? 0 });
      } else if (observation.kind === 'slave' && observation.view.state === 'current')
        onCurrent(observation.node, observation.view.armed, observation.hasSlept);
    },
  };
};

/** Clocks run at different rates while one of them sleeps. */
const hidingMargin = 1.01;
/** Of the simulator's own sums, with times of day in them. */
const roundingMs = 0.01;

function roundKey({ epoch, number }: RoundId): string {
  return `${epochKey(epoch)} ${number}`;
}
