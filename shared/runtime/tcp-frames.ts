import { LockstepError } from '../protocol/kernel/errors.js';
import { limits } from '../protocol/kernel/limits.js';
import { proofBytes } from './tcp-secure.js';

/**
 * What goes over a bulk connection. The fetcher sends its token and a line feed. The answer is a sequence of frames: one
 * byte for the kind, four for the length (big-endian), then so many bytes. Only an `end` frame ends a stream well: a
 * connection that closes without one was cut.
 */
export const frameKinds = { chunk: 1, end: 2, failed: 3, proof: 4 } as const;

export type Frame =
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  /** With keys, the first frame of a master's: `tcp-secure.ts`. */
  | { readonly kind: 'proof'; readonly bytes: Uint8Array }
  | { readonly kind: 'failed'; readonly reason: string };

const headBytes = 5;
/** One chunk is held whole at both ends. */
export const maxChunkBytes = limits.maxChangeBytes;
/** Tokens are 32 digits; room for others. */
export const maxTokenBytes = 256;
const maxReasonBytes = 1024;

/** The head of a frame; its bytes follow as they are, uncopied. */
export function frameHead(kind: keyof typeof frameKinds, length: number): Uint8Array {
  const head = Buffer.allocUnsafe(headBytes);
  head.writeUInt8(frameKinds[kind], 0);
  head.writeUInt32BE(length, 1);
  return head;
}

export function failedFrame(reason: string): Uint8Array {
  const text = Buffer.from(reason).subarray(0, maxReasonBytes);
  return Buffer.concat([frameHead('failed', text.byteLength), text]);
}

/** Takes frames from pieces of whatever size. A frame that can't be is a broken stream: `read` throws `bad-input`. */
export class FrameReader {
  #pieces: Uint8Array[] = [];
  #buffered = 0;
  #head: { readonly kind: number; readonly length: number } | null = null;

  push(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#buffered += piece.byteLength;
  }

  /** Null: more bytes are needed. */
  read(): Frame | null {
    if (this.#head === null) {
      if (this.#buffered < headBytes) return null;
      const head = this.#take(headBytes);
      this.#head = { kind: head[0] ?? 0, length: new DataView(head.buffer, head.byteOffset).getUint32(1) };
      checkHead(this.#head);
    }
    const { kind, length } = this.#head;
    if (this.#buffered < length) return null;
    const bytes = this.#take(length);
    this.#head = null;
    if (kind === frameKinds.chunk) return { kind: 'chunk', bytes };
    if (kind === frameKinds.end) return { kind: 'end' };
    if (kind === frameKinds.proof) return { kind: 'proof', bytes };
    return { kind: 'failed', reason: Buffer.from(bytes).toString() };
  }

  /** A view where one piece holds it all, else a copy: each byte is copied once at most. */
  #take(length: number): Uint8Array {
    this.#buffered -= length;
    const first = this.#pieces[0];
    if (first !== undefined && first.byteLength >= length) {
      if (first.byteLength === length) this.#pieces.shift();
      else this.#pieces[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    const taken = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const piece = this.#pieces[0];
      if (piece === undefined) break;
      const part = piece.subarray(0, length - filled);
      taken.set(part, filled);
      filled += part.byteLength;
      if (part.byteLength === piece.byteLength) this.#pieces.shift();
      else this.#pieces[0] = piece.subarray(part.byteLength);
    }
    return taken;
  }
}

const maxBytesOf: ReadonlyMap<number, number> = new Map([
  [frameKinds.chunk, maxChunkBytes],
  [frameKinds.end, 0],
  [frameKinds.failed, maxReasonBytes],
  [frameKinds.proof, proofBytes],
]);

function checkHead({ kind, length }: { readonly kind: number; readonly length: number }): void {
  const bound = maxBytesOf.get(kind);
  if (bound === undefined || length > bound)
    throw new LockstepError('bad-input', 'what answers there speaks another protocol, or the stream is corrupt');
}
