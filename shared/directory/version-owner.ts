import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { LockstepError } from '../protocol/kernel/errors.js';
import { codeOf, type Files } from './files.js';

/** In the folder that keeps the versions. */
export const ownerFile = 'lockstep.json';

interface Owner {
  readonly dataSet: string;
  /** Null: nobody's yet, or they were written by a version that didn't say. */
  readonly node: string | null;
}

/** Whose versions a folder keeps: one data set's, of one slave. Failures of the file system reject as they are. */
export class VersionOwner {
  readonly #files: Files;
  readonly #where: { readonly link: string; readonly state: string };
  readonly #own: Owner;

  constructor(
    files: Files,
    where: { readonly link: string; readonly state: string },
    own: { readonly dataSet: string; readonly node?: string | undefined },
  ) {
    this.#files = files;
    this.#where = where;
    this.#own = { dataSet: own.dataSet, node: own.node ?? null };
  }

  get #path(): string {
    return join(this.#where.state, ownerFile);
  }

  /** Only looks. Rejects with `store-foreign` when the versions are another one's. */
  async check(): Promise<void> {
    await this.#read();
  }

  /** Makes the folder, and takes it where it is nobody's. Rejects as `check` does. */
  async take(): Promise<void> {
    await this.#files.makeFolders(this.#where.state);
    const owner = await this.#read();
    if (owner !== null && (owner.node !== null || this.#own.node === null)) return;
    await this.#write(owner === null);
    // Another process may have been faster.
    await this.#read();
  }

  async #write(isFirst: boolean): Promise<void> {
    const { dataSet, node } = this.#own;
    const written = `${this.#path}.${randomUUID()}`;
    const draft = await this.#files.create(written);
    await draft.write(Buffer.from(`${JSON.stringify({ format: 1, dataSet, ...(node === null ? {} : { node }) })}\n`));
    await draft.finish(0o600);
    if (!isFirst || !(await this.#linkedFirst(written))) await this.#files.rename(written, this.#path);
    await this.#files.remove(written);
    await this.#files.sync(this.#where.state);
    await this.#files.sync(dirname(this.#where.state));
  }

  /** A name is linked once only, so that of two that start together one finds the other's. False: there are no links here. */
  async #linkedFirst(written: string): Promise<boolean> {
    try {
      await this.#files.link(written, this.#path);
      return true;
    } catch (error) {
      // Another one was faster, and may have tidied up since.
      return codeOf(error) === 'EEXIST' || codeOf(error) === 'ENOENT';
    }
  }

  /** Null: nobody has taken the folder yet. */
  async #read(): Promise<Owner | null> {
    if ((await this.#files.facts(this.#path)) === null) return null;
    const owner = ownerIn((await this.#files.read(this.#path)).toString('utf8'));
    const { dataSet, node } = this.#own;
    if (owner === null)
      throw new LockstepError(
        'store-format',
        `${this.#path} is of another format; use the version that wrote it, or name another folder; nothing was touched`,
      );
    if (owner.dataSet !== dataSet)
      throw new LockstepError(
        'store-foreign',
        `${this.#where.state} keeps the versions of the data set ${owner.dataSet}, not ${dataSet}; name another folder; nothing was touched`,
      );
    if (owner.node !== null && node !== null && owner.node !== node)
      throw new LockstepError(
        'store-foreign',
        `${this.#where.link} is where the slave ${owner.node} shows its folder, and this is ${node}; name another place for it, or, when ${node} is to take the place of ${owner.node}, stop that one and remove ${this.#path}; nothing was touched`,
      );
    return owner;
  }
}

function ownerIn(text: string): Owner | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('format' in value) || value.format !== 1) return null;
    if (!('dataSet' in value) || typeof value.dataSet !== 'string') return null;
    const node = 'node' in value ? value.node : null;
    return node === null || typeof node === 'string' ? { dataSet: value.dataSet, node } : null;
  } catch {
    return null;
  }
}
