import type { Incarnation } from '../../shared/protocol/kernel/ids.js';
import type { FragmentFrame } from '../../shared/protocol/wire/datagram.js';

const maxPartial = 256;
const maxPartialBytes = 64 * 1024 * 1024;

interface Partial {
  readonly body: Uint8Array;
  readonly missing: Set<number>;
}

/** Puts the fragments of a capture together. What never completes gives way to newer ones. */
export class Reassembly {
  readonly #partials = new Map<string, Partial>();
  #bytes = 0;

  /** The whole body with the fragment that completes it, else null. */
  take(sender: Incarnation, fragment: FragmentFrame): Uint8Array | null {
    const name = [sender.storeId, sender.start, fragment.messageId, fragment.messageKind, fragment.dataSet].join(' ');
    let partial = this.#partials.get(name);
    if (partial?.body.length !== fragment.totalBytes) {
      this.#drop(name);
      partial = {
        body: new Uint8Array(fragment.totalBytes),
        missing: new Set(Array.from({ length: fragment.count }, (_, index) => index)),
      };
      this.#partials.set(name, partial);
      this.#bytes += fragment.totalBytes;
      this.#makeRoom(name);
    }
    partial.body.set(fragment.bytes, fragment.offset);
    partial.missing.delete(fragment.index);
    if (partial.missing.size > 0) return null;
    this.#drop(name);
    return partial.body;
  }

  /** Messages of which fragments are missing. */
  get incomplete(): number {
    return this.#partials.size;
  }

  #makeRoom(newest: string): void {
    for (const oldest of this.#partials.keys()) {
      if (oldest === newest || (this.#partials.size <= maxPartial && this.#bytes <= maxPartialBytes)) return;
      this.#drop(oldest);
    }
  }

  #drop(name: string): void {
    this.#bytes -= this.#partials.get(name)?.body.length ?? 0;
    this.#partials.delete(name);
  }
}
