/** Numbers and names in words, as a person would say them. */

/**
 * A time span, no more exact than a reader wants it.
 *
 * @param {number} spanMs
 * @returns {string}
 */
export function span(spanMs) {
  if (spanMs < 0.95) return spanMs <= 0 ? '0 ms' : '< 1 ms';
  if (spanMs < 10) return `${trim(spanMs.toFixed(1))} ms`;
  if (spanMs < 1000) return `${Math.round(spanMs)} ms`;
  const seconds = spanMs / 1000;
  if (seconds < 9.95) return `${trim(seconds.toFixed(1))} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/** Whole seconds, for what counts on while it is looked at: "0.3 s" would flicker.
 * @param {number} spanMs
 * @returns {string}
 */
export function calmSpan(spanMs) {
  return spanMs < 120_000 ? `${Math.max(1, Math.round(spanMs / 1000))} s` : span(spanMs);
}

/**
 * @param {number} spanMs
 * @returns {string}
 */
export function ago(spanMs) {
  return spanMs < 1500 ? 'just now' : `${calmSpan(spanMs)} ago`;
}

/**
 * "b", "b and c", "b, c and d", "b, c and 4 more".
 *
 * @param {readonly string[]} names
 * @returns {string}
 */
export function listed(names) {
  if (names.length <= 1) return names[0] ?? 'nobody';
  if (names.length <= 3) return `${names.slice(0, -1).join(', ')} and ${names[names.length - 1] ?? ''}`;
  return `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`;
}

/**
 * "1 slave", "3 slaves".
 *
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 * @returns {string}
 */
export function counted(count, one, many = `${one}s`) {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/**
 * 4321 → "4,321".
 *
 * @param {number} count
 * @returns {string}
 */
export function grouped(count) {
  return count.toLocaleString('en-US');
}

/**
 * @param {number} bytes
 * @returns {string}
 */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${trim((bytes / 1024).toFixed(1))} KiB`;
  return `${trim((bytes / 1024 / 1024).toFixed(1))} MiB`;
}

/**
 * Names in the order in which a person would count them: s2 before s10.
 *
 * @param {string} one
 * @param {string} other
 * @returns {number}
 */
export function byName(one, other) {
  return collator.compare(one, other);
}

const collator = new Intl.Collator('en', { numeric: true });

/** @param {string} digits */
function trim(digits) {
  return digits.replace(/\.0$/, '');
}
