/** Reads exact numbers of bytes from chunks of any size, without holding more than one request and one chunk. */
export class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Null when fewer are left. What is left then stays, and `left` tells how much it is. */
  async take(length: number): Promise<Buffer | null> {
    if (this.#held.length < length) await this.#gather(length);
    if (this.#held.length < length) return null;
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  /** Bytes at hand; after `take` gave null, all that there is. */
  get left(): number {
    return this.#held.length;
  }

  async #gather(length: number): Promise<void> {
    const parts = [this.#held];
    let gathered = this.#held.length;
    while (gathered < length && !this.#ended) {
      const next = await this.#chunks.next();
      if (next.done === true) this.#ended = true;
      else {
        parts.push(Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength));
        gathered += next.value.length;
      }
    }
    this.#held = Buffer.concat(parts);
  }
}
