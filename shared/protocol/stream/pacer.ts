import type { StreamLimits } from './stream-limits.js';

/** Rounding of clock readings never keeps a datagram waiting: so many bytes are given away. */
const roundingBytes = 16;

/**
 * A token bucket over what leaves in bulk. Its burst is a share of the smallest receive window, so that a burst fits
 * in everybody's buffer; its rate halves when more fragments are reported lost than the threshold allows, and rises
 * while fewer are.
 */
export class Pacer {
  readonly #limits: StreamLimits;
  #rate: number;
  #burst: number;
  #tokens: number;
  #filledMs = -Infinity;
  #quietSinceMs = -Infinity;
  #halvedMs = -Infinity;
  #sampleSinceMs = -Infinity;
  #sampleSent = 0;
  readonly #sampleLost = new Map<string, number>();

  constructor(limits: StreamLimits, windowBytes: number) {
    this.#limits = limits;
    this.#rate = limits.initialRate;
    this.#burst = windowBytes * limits.burstShare;
    this.#tokens = this.#burst;
  }

  /** Bytes per millisecond. */
  get rate(): number {
    return this.#rate;
  }

  get burstBytes(): number {
    return this.#burst;
  }

  setWindow(windowBytes: number): void {
    this.#burst = windowBytes * this.#limits.burstShare;
    if (this.#tokens > this.#burst) this.#tokens = this.#burst;
  }

  /** True, and paid, when so many bytes may leave now. What is larger than the burst leaves on a full bucket. */
  take(bytes: number, nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#missing(bytes) > 0) return false;
    this.#tokens -= bytes;
    return true;
  }

  /** Pays for what leaves in any case; a debt is never deeper than one burst. */
  charge(bytes: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#tokens = Math.max(this.#tokens - bytes, -this.#burst);
  }

  /** When `take` will say yes. */
  readyAtMs(bytes: number, nowMs: number): number {
    this.#fill(nowMs);
    const missing = this.#missing(bytes);
    return missing === 0 ? nowMs : nowMs + missing / this.#rate;
  }

  noteSent(fragments: number, nowMs: number): void {
    if (this.#sampleSent === 0 && this.#sampleLost.size === 0) this.#sampleSinceMs = nowMs;
    this.#sampleSent += fragments;
    this.#judge(nowMs);
  }

  /** A peer asks for fragments that it hadn't asked for before. */
  noteLost(peer: string, fragments: number, nowMs: number): void {
    if (this.#sampleSent === 0 && this.#sampleLost.size === 0) this.#sampleSinceMs = nowMs;
    this.#sampleLost.set(peer, (this.#sampleLost.get(peer) ?? 0) + fragments);
    this.#judge(nowMs);
  }

  /** The peer that lost most decides: its share of what was sent in this sample. */
  #judge(nowMs: number): void {
    const elapsedMs = nowMs - this.#sampleSinceMs;
    const { lossSampleFragments, lossSampleMs, lossSampleMaxMs, lossThreshold, minRate, quietMs } = this.#limits;
    const enough = elapsedMs >= lossSampleMs && this.#sampleSent >= lossSampleFragments;
    if (!enough && elapsedMs < lossSampleMaxMs) return;
    let lost = 0;
    for (const count of this.#sampleLost.values()) if (count > lost) lost = count;
    if (lost > this.#sampleSent * lossThreshold) {
      // One overflow is reported over several samples; it halves the rate once.
      if (nowMs - this.#halvedMs >= quietMs) {
        this.#rate = Math.max(this.#rate / 2, minRate);
        this.#halvedMs = nowMs;
      }
      this.#quietSinceMs = nowMs;
    }
    this.#sampleSent = 0;
    this.#sampleLost.clear();
  }

  #missing(bytes: number): number {
    const missing = Math.min(bytes, this.#burst) - this.#tokens;
    return missing <= roundingBytes ? 0 : missing;
  }

  #fill(nowMs: number): void {
    if (this.#filledMs === -Infinity) {
      this.#filledMs = nowMs;
      this.#quietSinceMs = nowMs;
      return;
    }
    const elapsedMs = nowMs - this.#filledMs;
    if (elapsedMs <= 0) return;
    this.#filledMs = nowMs;
    this.#tokens = Math.min(this.#tokens + elapsedMs * this.#rate, this.#burst);
    if (nowMs - this.#quietSinceMs < this.#limits.quietMs) return;
    this.#quietSinceMs = nowMs;
    this.#rate = Math.min(this.#rate * 1.25, this.#limits.maxRate);
  }
}
