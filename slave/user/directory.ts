import { errorText, LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { Delta, Digest, Tip } from '../../shared/protocol/kernel/ids.js';
import { sameTip } from '../../shared/protocol/kernel/ids.js';
import { directoryBounds as bounds } from '../../shared/protocol/directory/bounds.js';
import { differenceOf, filesOf, type Tree } from '../../shared/protocol/directory/tree.js';
import { realFiles, type Files } from '../../shared/directory/files.js';
import { VersionedFolder, type Staged } from '../../shared/directory/versioned-folder.js';
import type { SlaveDataSet, SlaveKind, SlaveKindContext } from '../types.js';
import type { PrepareAnswer, SlaveUserLayer } from './contract.js';
import type { SlaveDirectory, SlaveDirectoryOptions } from './directory-types.js';

/**
 * The copy of a directory data set: a symbolic link that always shows one whole version. Data and tip become durable in the
 * step that replaces the link, whatever `durability` says.
 *
 * Registering rejects with `user-layer-failed` when something else stands in the link's place, or when its versions are of
 * another slave or another data set; nothing is touched then.
 */
export function directory(options: SlaveDirectoryOptions): SlaveKind<SlaveDirectory> {
  return {
    create(context) {
      const layer = new SlaveDirectoryLayer(options, context);
      return { layer, handle: (dataSet) => slaveHandle(layer, dataSet) };
    },
  };
}

/** Whose copy it is. */
type Owner = Pick<SlaveKindContext, 'node' | 'dataSet'>;

/**
 * Rejects with `store-unusable` when something else stands where the link is to be, and with `store-foreign` when its versions are
 * of another slave or another data set. Touches nothing.
 */
export async function checkTarget(
  { target, state }: Pick<SlaveDirectoryOptions, 'target' | 'state'>,
  { node, dataSet }: Owner,
): Promise<void> {
  await new VersionedFolder({ link: target, state, dataSet, node, files: realFiles }).check();
}

/** @internal What the kind is made of, for tests that run it elsewhere. */
export class SlaveDirectoryLayer implements SlaveUserLayer {
  readonly #versions: VersionedFolder;
  readonly #check: SlaveDirectoryOptions['check'];
  readonly #dataSet: string;

  constructor(options: SlaveDirectoryOptions, { node, dataSet }: Owner, files: Files = realFiles) {
    this.#versions = new VersionedFolder({ link: options.target, state: options.state, dataSet, node, files });
    this.#check = options.check;
    this.#dataSet = dataSet;
  }

  get tip(): Tip | null {
    return this.#versions.tip;
  }

  get tree(): Tree {
    return this.#versions.tree;
  }

  get target(): string {
    return this.#versions.link;
  }

  get shown(): string | null {
    return this.#versions.shown;
  }

  open(): Promise<Tip | null> {
    return this.#versions.open();
  }

  /** Everything is written and durable before the vote: what is left for the commit is one step that hardly can fail. */
  async prepare(change: Delta, signal: AbortSignal): Promise<PrepareAnswer> {
    // Asked again after its vote was lost: a version that is staged has passed its check.
    if (this.#versions.findStaged(change.from, change.to) !== null) return { ok: true };
    const staged = await this.#versions.stage(change.from, change.to, asStream(change.bytes));
    if (!staged.ok) return staged;
    const verdict = await this.#verdictOn(staged.value, signal);
    if (verdict === true) return { ok: true };
    await this.#versions.abort(change.to);
    return { ok: false, reason: verdict };
  }

  async commit(change: Delta): Promise<void> {
    if (sameTip(change.to, this.tip)) return;
    const staged = this.#versions.findStaged(change.from, change.to);
    await this.#versions.show(staged ?? (await this.#staged(change.from, change.to, asStream(change.bytes))));
  }

  async abort(to: Tip): Promise<void> {
    await this.#versions.abort(to);
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#versions.show(await this.#staged(null, to, chunks));
  }

  snapshot(at: Tip): AsyncIterable<Uint8Array> {
    return this.#versions.snapshot(at);
  }

  stateDigest(): Digest {
    return this.#versions.stateDigest();
  }

  async #staged(from: Tip | null, to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<Staged> {
    const staged = await this.#versions.stage(from, to, chunks);
    if (staged.ok) return staged.value;
    throw new LockstepError('bad-input', staged.reason);
  }

  async #verdictOn({ version, folder }: Staged, signal: AbortSignal): Promise<true | string> {
    if (this.#check === undefined) return true;
    try {
      const verdict: unknown = await this.#check({
        folder: this.#versions.contentOf(version.name),
        current: this.shown,
        version: version.tip.version,
        dataSet: this.#dataSet,
        files: differenceOf(this.tree, version.tree),
        signal,
      });
      if (verdict === true) return true;
      return typeof verdict === 'string' && verdict !== '' ? oneLine(verdict) : 'refused without a reason';
    } catch (error) {
      return oneLine(`the check of ${folder} failed: ${errorText(error)}`);
    }
  }
}

async function* asStream(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield bytes;
}

function oneLine(reason: string): string {
  const text = reason.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ').trim();
  return text.length > bounds.reasonCharacters ? `${text.slice(0, bounds.reasonCharacters - 1)}…` : text;
}

function slaveHandle(layer: SlaveDirectoryLayer, dataSet: SlaveDataSet): SlaveDirectory {
  return {
    dataSet,
    get tip() {
      return layer.tip;
    },
    get state() {
      return dataSet.state;
    },
    get size() {
      return filesOf(layer.tree);
    },
    get target() {
      return layer.target;
    },
    get shown() {
      return layer.shown;
    },
    stateDigest: () => layer.stateDigest(),
    changes: (options) => dataSet.changes(options),
    reached: (version, options) => dataSet.reached(version, options),
    [Symbol.asyncDispose]: () => dataSet[Symbol.asyncDispose](),
  };
}
