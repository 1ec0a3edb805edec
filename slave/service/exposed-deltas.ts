import type { Delta, Tip } from '../../shared/protocol/kernel/ids.js';
import { versionOf } from '../../shared/protocol/kernel/ids.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import { indexAfter, Wakers, type DeltaSource } from '../../shared/runtime/delta-source.js';

/**
 * The changes that this process exposed, the newest of them, bounded in number and in bytes. What was before the start,
 * or before a snapshot, isn't known here.
 */
export class ExposedDeltas implements DeltaSource {
  tip: Tip | null = null;
  breaks = 0;
  #deltas: Delta[] = [];
  #bytes = 0;
  readonly #wakers = new Wakers();

  /** The copy is at `tip`, and nobody here knows how it got there. */
  begin(tip: Tip | null): void {
    if (this.tip !== null || this.#deltas.length > 0) this.breaks += 1;
    this.tip = tip;
    this.#deltas = [];
    this.#bytes = 0;
    this.#wakers.wake();
  }

  push(delta: Delta): void {
    this.tip = delta.to;
    this.#deltas.push(delta);
    this.#bytes += delta.bytes.byteLength;
    this.#prune();
    this.#wakers.wake();
  }

  get oldestVersion(): number | null {
    const oldest = this.#deltas[0];
    return oldest === undefined ? (this.tip?.version ?? null) : versionOf(oldest.from);
  }

  after(version: number, count: number): readonly Delta[] | null {
    if (version >= versionOf(this.tip)) return [];
    const { oldestVersion } = this;
    if (oldestVersion === null || version < oldestVersion) return null;
    const start = indexAfter(this.#deltas, version);
    return this.#deltas.slice(start, start + count);
  }

  tipAt(version: number): Tip | null {
    if (version === versionOf(this.tip)) return this.tip;
    const delta = this.#deltas[indexAfter(this.#deltas, version - 1)];
    if (delta === undefined) return null;
    if (delta.to.version === version) return delta.to;
    return versionOf(delta.from) === version ? delta.from : null;
  }

  listen(wake: () => void): () => void {
    return this.#wakers.listen(wake);
  }

  /** How many follow. */
  get listeners(): number {
    return this.#wakers.size;
  }

  /** The newest always stays. */
  #prune(): void {
    while (
      this.#deltas.length > 1 &&
      (this.#deltas.length > limits.exposedDeltas || this.#bytes > limits.exposedDeltaBytes)
    ) {
      this.#bytes -= this.#deltas.shift()?.bytes.byteLength ?? 0;
    }
  }
}
