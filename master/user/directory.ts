import { basename, dirname, join, resolve } from 'node:path';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { Delta, Digest, Tip } from '../../shared/protocol/kernel/ids.js';
import { sameTip, showTip, versionOf } from '../../shared/protocol/kernel/ids.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import { directoryBounds as bounds } from '../../shared/protocol/directory/bounds.js';
import { changeBytes, encodeHead, headBetween } from '../../shared/protocol/directory/change-codec.js';
import {
  differenceOf,
  filesOf,
  rootPath,
  type Tree,
  type TreeDifference,
} from '../../shared/protocol/directory/tree.js';
import { realFiles, type Files } from '../../shared/directory/files.js';
import type { VersionDraft } from '../../shared/directory/version-draft.js';
import { VersionedFolder } from '../../shared/directory/versioned-folder.js';
import type { Clock } from '../../shared/runtime/ports.js';
import type { MasterDataSet, MasterKind } from '../types.js';
import type { MasterUserLayer } from './contract.js';
import { copyFolder, readFolder, type FolderSource } from './directory-scan.js';
import type {
  MasterDirectory,
  MasterDirectoryOptions,
  PublishOptions,
  PublishOutcome,
  WatchOptions,
  WatchOutcome,
} from './directory-types.js';
import { watchFolder } from './directory-watch.js';

/**
 * The original of a directory data set: a folder that people edit, and beside it the versions that were published. The
 * folder is only ever read. A published version and its tip are durable together, whatever `durability` says.
 *
 * Registering rejects with `user-layer-failed` when the folder for versions can't be used.
 */
export function directory(options: MasterDirectoryOptions): MasterKind<MasterDirectory> {
  return {
    create(context) {
      const layer = new MasterDirectoryLayer(options, context.dataSet);
      return { layer, handle: (dataSet) => new MasterDirectoryHandle(dataSet, layer, context.clock) };
    },
  };
}

/** A version that is being voted on. */
interface Proposed {
  readonly version: number;
  readonly prior: Tip | null;
  readonly bytes: Uint8Array;
  readonly draft: VersionDraft;
}

/** @internal What the kind is made of, for tests that run it elsewhere. */
export class MasterDirectoryLayer implements MasterUserLayer {
  readonly source: FolderSource;
  readonly #versions: VersionedFolder;
  #proposed: Proposed | null = null;
  /** No version is given twice by one process, not even after an abort. */
  #highest = 0;

  constructor(options: MasterDirectoryOptions, dataSet: string, files: Files = realFiles) {
    const folder = resolve(options.folder);
    const state = options.state ?? join(dirname(folder), `.${basename(folder)}.lockstep`);
    this.source = { files, folder, include: options.include ?? ((): boolean => true) };
    this.#versions = new VersionedFolder({
      link: join(state, 'published'),
      state: join(state, 'versions'),
      dataSet,
      files,
    });
  }

  get tip(): Tip | null {
    return this.#versions.tip;
  }

  get tree(): Tree {
    return this.#versions.tree;
  }

  get published(): string | null {
    return this.#versions.shown;
  }

  open(): Promise<Tip | null> {
    return this.#versions.open();
  }

  /** Forward by the steps that the service has; back when the version before is the one. */
  async recover(committed: Tip | null, missing: readonly Delta[]): Promise<void> {
    for (const step of missing) {
      if (sameTip(this.tip, committed)) break;
      if (step.from === null || sameTip(step.from, this.tip)) await this.#take(step);
    }
    if (sameTip(this.tip, committed) || (committed !== null && (await this.#versions.showPrevious(committed)))) return;
    throw new LockstepError(
      'user-layer-failed',
      `the published version is ${showTip(this.tip)} and can't reach ${showTip(committed)}, which was committed here; take a slave's copy (--adopt-from NAME)`,
    );
  }

  delta(from: Tip | null, to: { readonly version: number }): Uint8Array | null | Promise<Uint8Array | null> {
    const proposed = this.#proposed;
    return proposed?.version === to.version && sameTip(proposed.prior, from) ? proposed.bytes : null;
  }

  snapshot(at: Tip): AsyncIterable<Uint8Array> {
    return this.#versions.snapshot(at);
  }

  /** The folder stays as people have left it; only the draft of the version goes. */
  async restore(_to: Tip | null, dropped: readonly number[]): Promise<void> {
    if (this.#proposed !== null && dropped.includes(this.#proposed.version)) await this.withdraw();
  }

  async committed(change: Delta): Promise<void> {
    if (sameTip(change.to, this.tip)) return;
    const proposed = this.#proposed;
    if (proposed?.version !== change.to.version || !sameTip(proposed.prior, change.from)) return this.#take(change);
    await this.#versions.show(await this.#versions.seal(proposed.draft, change.from, change.to));
    this.#proposed = null;
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#show(null, to, chunks);
  }

  stateDigest(): Digest {
    return this.#versions.stateDigest();
  }

  /** Copies the folder as the next version. Null: it is as it was published. */
  async propose(
    allowEmpty: boolean,
    version: number = Math.max(versionOf(this.tip), this.#highest) + 1,
  ): Promise<{ readonly version: number; readonly bytes: Uint8Array; readonly files: TreeDifference } | null> {
    const draft = await this.#versions.draft({ version });
    try {
      const tree = await copyFolder(this.source, draft);
      const files = differenceOf(this.tree, tree);
      if (this.tip !== null && isNothing(files)) {
        await this.#versions.discard(draft);
        return null;
      }
      if (!allowEmpty && filesOf(tree) === 0 && filesOf(this.tree) > 0)
        throw new LockstepError(
          'bad-input',
          `${this.source.folder} holds no file, and the published version has ${filesOf(this.tree)}; is it the right folder, and is it mounted? To publish it as it is, say so (--allow-empty); nothing was published`,
        );
      const bytes = await this.#bytesOf(tree, draft);
      this.#highest = version;
      this.#proposed = { version, prior: this.tip, bytes, draft };
      return { version, bytes, files };
    } catch (error) {
      // The failure that counts is the first one.
      await this.#versions.discard(draft).catch(() => undefined);
      throw error;
    }
  }

  /** Ends what `propose` began, when it was never decided. */
  async withdraw(): Promise<void> {
    const proposed = this.#proposed;
    this.#proposed = null;
    if (proposed !== null) await this.#versions.discard(proposed.draft);
  }

  async #bytesOf(tree: Tree, draft: VersionDraft): Promise<Uint8Array> {
    const head = headBetween(this.tip === null ? null : this.tree, tree);
    const bytes = changeBytes(head);
    if (bytes > limits.maxChangeBytes)
      throw new LockstepError(
        'change-too-large',
        `what changed in ${this.source.folder} has ${bytes} bytes, and ${limits.maxChangeBytes} are the limit of one version; add large files a few at a time, publishing each time; nothing was published`,
      );
    const parts: Uint8Array[] = [encodeHead(head)];
    const places = new Map<string, string>();
    for (const [path, entry] of tree) if (entry.kind === 'file') places.set(entry.digest, path);
    for (const { digest } of head.contents) {
      const place = join(draft.content, places.get(digest) ?? rootPath);
      for await (const piece of this.source.files.pieces(place, bounds.pieceBytes)) parts.push(piece);
    }
    return Buffer.concat(parts);
  }

  #take(change: Delta): Promise<void> {
    return this.#show(change.from, change.to, asStream(change.bytes));
  }

  async #show(from: Tip | null, to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const staged = await this.#versions.stage(from, to, chunks);
    if (!staged.ok) throw new LockstepError('bad-input', staged.reason);
    await this.#versions.show(staged.value);
  }
}

class MasterDirectoryHandle implements MasterDirectory {
  readonly dataSet: MasterDataSet;
  readonly #layer: MasterDirectoryLayer;
  readonly #clock: Clock;
  /** Settles when the publish before has ended, however. */
  #before: Promise<PublishOutcome | undefined> = Promise.resolve(undefined);

  constructor(dataSet: MasterDataSet, layer: MasterDirectoryLayer, clock: Clock) {
    this.dataSet = dataSet;
    this.#layer = layer;
    this.#clock = clock;
  }

  get tip(): Tip | null {
    return this.#layer.tip;
  }

  get size(): number {
    return filesOf(this.#layer.tree);
  }

  get published(): string | null {
    return this.#layer.published;
  }

  stateDigest(): Digest {
    return this.#layer.stateDigest();
  }

  publish(options: PublishOptions = {}): Promise<PublishOutcome> {
    const publishing = (async (): Promise<PublishOutcome> => {
      await this.#before;
      return this.#publish(options);
    })();
    this.#before = publishing.catch(() => undefined);
    return publishing;
  }

  async difference(): Promise<TreeDifference> {
    return differenceOf(this.#layer.tree, await readFolder(this.#layer.source));
  }

  watch(options: WatchOptions = {}): AsyncIterable<WatchOutcome> {
    const publish = (): Promise<PublishOutcome> => this.publish(options);
    return watchFolder({ source: this.#layer.source, clock: this.#clock, publish }, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dataSet[Symbol.asyncDispose]();
  }

  async #publish({ allowEmpty, ...options }: PublishOptions): Promise<PublishOutcome> {
    options.signal?.throwIfAborted();
    await this.dataSet.leading(options.signal === undefined ? {} : { signal: options.signal });
    if (!sameTip(this.dataSet.tip, this.#layer.tip))
      throw new LockstepError(
        'user-layer-failed',
        `version ${versionOf(this.dataSet.tip)} is committed and could not be written to this master's disk, as its log says; mend that, and restart this master: it recovers it`,
      );
    const proposed = await this.#layer.propose(allowEmpty === true);
    if (proposed === null) return { kind: 'unchanged', tip: this.tip };
    const { version, bytes, files } = proposed;
    try {
      const prior = versionOf(this.tip);
      const outcome = await this.dataSet.replicate({ ...options, version, prior, delta: bytes });
      return { ...outcome, files };
    } finally {
      // Decided or dropped by now; otherwise it was refused before it began, or this node stopped.
      if (this.tip?.version !== version) await this.#layer.withdraw();
    }
  }
}

async function* asStream(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield bytes;
}

function isNothing({ added, changed, removed }: TreeDifference): boolean {
  return added.length + changed.length + removed.length === 0;
}
