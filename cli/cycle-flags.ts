import { InvalidArgumentError } from 'commander';
import { cycleBounds } from '../activation/core/bounds.js';

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `10m`, `1h`, `7d`, or a bare number of milliseconds; returns milliseconds. */
export function intervalDuration(text: string): number {
  const [, digits = '', unit = 'ms'] = /^(\d{1,11})(ms|s|m|h|d)?$/.exec(text) ?? [];
  const durationMs = digits === '' ? NaN : Number(digits) * (unitsMs[unit] ?? NaN);
  if (durationMs >= cycleBounds.minIntervalMs && durationMs <= cycleBounds.maxIntervalMs) return durationMs;
  throw new InvalidArgumentError(
    `Give a duration such as 10m, 1h or 7d, from ${cycleBounds.minIntervalMs}ms to ${cycleBounds.maxIntervalMs / 86_400_000}d.`,
  );
}

/** With a time zone: what a clock on a wall shows isn't the same instant everywhere. */
export function instant(text: string): number {
  const isWhole = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.test(text);
  const atMs = isWhole ? Date.parse(text) : NaN;
  if (Number.isFinite(atMs)) return atMs;
  throw new InvalidArgumentError('Give an instant with its time zone, such as 2026-12-01T03:00:00Z.');
}
