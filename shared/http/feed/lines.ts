import type { Delta } from '../../protocol/kernel/ids.js';
import { decodeChange } from '../../protocol/key-value/change-codec.js';
import type { Json } from '../../protocol/key-value/operations.js';
import type { FeedRecordBody } from '../bodies.js';

export type FeedLine =
  | { readonly ok: true; readonly version: number; readonly bytes: Buffer }
  | { readonly ok: false; readonly reason: string };

/**
 * Changes as lines of JSON. Each is decoded once for all listeners, who share its bytes; the newest are kept for those that
 * are a little later than the first.
 */
export class FeedLines {
  readonly #lines = new Map<Delta, FeedLine>();
  #bytes = 0;

  constructor(private readonly maxBytes: number) {}

  of(delta: Delta): FeedLine {
    const known = this.#lines.get(delta);
    if (known !== undefined) return known;
    const line = encodeLine(delta);
    this.#lines.set(delta, line);
    this.#bytes += sizeOf(line);
    for (const [oldest, old] of this.#lines) {
      if (this.#bytes <= this.maxBytes || oldest === delta) break;
      this.#lines.delete(oldest);
      this.#bytes -= sizeOf(old);
    }
    return line;
  }

  /** Nobody listens any more. */
  clear(): void {
    this.#lines.clear();
    this.#bytes = 0;
  }

  get heldBytes(): number {
    return this.#bytes;
  }
}

function sizeOf(line: FeedLine): number {
  return line.ok ? line.bytes.byteLength : 0;
}

function encodeLine(delta: Delta): FeedLine {
  const decoded = decodeChange(delta.bytes);
  if (!decoded.ok) return { ok: false, reason: decoded.reason };
  const { keys, values, deletes } = decoded.columns;
  let nextDelete = 0;
  const record: FeedRecordBody = {
    epoch: delta.to.epoch.number,
    version: delta.to.version,
    chainId: delta.to.chain,
    prior: delta.from?.version ?? null,
    operations: keys.map((key, position) => {
      if (deletes[nextDelete] !== position) return { put: [key, values[position] as Json] };
      nextDelete += 1;
      return { delete: key };
    }),
  };
  return { ok: true, version: delta.to.version, bytes: Buffer.from(`${JSON.stringify(record)}\n`) };
}
