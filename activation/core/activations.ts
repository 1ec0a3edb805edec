import type { ActivationRequest, ActivationSpreadBody } from './bodies.js';
import { cycleBounds as bounds } from './bounds.js';

/**
 * When the servers of a pull cycle switched, as each of them measured it: what they report, put together by cycle. Kept in
 * memory only, since it is about a moment that has passed.
 */
export class Activations {
  /** By cycle, in the order in which they were first heard of. */
  readonly #reports = new Map<number, Map<string, ActivationRequest>>();

  report(report: ActivationRequest): void {
    const { cycle, by } = report;
    const known = this.#reports.get(cycle);
    const reports = known ?? new Map<string, ActivationRequest>();
    // Of one server the last one counts; of more servers than are ever kept, the first.
    if (!reports.has(by) && reports.size >= bounds.maxRetrievers) return;
    reports.set(by, report);
    if (known !== undefined) return;
    this.#reports.set(cycle, reports);
    const [oldest] = this.#reports.keys();
    if (this.#reports.size > bounds.rememberedActivations && oldest !== undefined) this.#reports.delete(oldest);
  }

  /** Newest first. */
  spreads(): readonly ActivationSpreadBody[] {
    return [...this.#reports].reverse().map(([cycle, reports]) => spreadOf(cycle, [...reports.values()]));
  }
}

/** Late ones are counted apart: they say when a server came back, and nothing about how well clocks agree. */
function spreadOf(cycle: number, reports: readonly ActivationRequest[]): ActivationSpreadBody {
  const timely = reports.filter(({ late }) => !late);
  const instants = timely.map(({ reachedMs }) => reachedMs);
  const earliestMs = instants.length === 0 ? null : Math.min(...instants);
  const latestMs = instants.length === 0 ? null : Math.max(...instants);
  return {
    cycle,
    servers: timely.length,
    late: reports.length - timely.length,
    earliestMs,
    latestMs,
    spreadMs: earliestMs === null || latestMs === null ? null : latestMs - earliestMs,
    worstErrorMs: timely.length === 0 ? null : Math.max(...timely.map(({ errorMs }) => errorMs)),
  };
}
