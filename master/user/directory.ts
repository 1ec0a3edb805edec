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
import { VersionedFolder, type Staged } from '../../shared/directory/versioned-folder.js';
import type { Clock } from '../../shared/runtime/ports.js';
import type { MasterDataSet, MasterKind } from '../types.js';
import type { MasterUserLayer } from './contract.js';
import { copyFolder, readFolder, type FolderSource } from './directory-scan.js';
import type {
  MasterDirectory,
  MasterDirectoryOptions,
  PublishOptions,
  PublishOutcome,
  ScheduledPublishOutcome,
  WatchOptions,
  WatchOutcome,
} from './directory-types.js';
import { pause, watchFolder } from './directory-watch.js';

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
      const timeoutMs = context.defaults.timeoutMs ?? limits.roundTimeoutMs;
      return {
        layer,
        handle: (dataSet) => new MasterDirectoryHandle({ dataSet, layer, clock: context.clock, timeoutMs }),
      };
    },
  };
}

/** A version that is being voted on. */
interface Proposed {
  readonly version: number;
  readonly prior: Tip | null;
  readonly bytes: Uint8Array;
  readonly draft: VersionDraft;
  /** Under way from when its tip is known; null before. */
  sealed: Promise<Staged> | null;
}

/** How often a publish looks whether the armed one before it has shown: what ends the wait otherwise tells nobody here. */
const armedPollMs = 50;

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
    await this.#versions.show(await this.#sealed(proposed, change.to));
    this.#proposed = null;
  }

  /**
   * The proposal is decided, and shows at its instant: what can be written is written now, so that one step is left for then. A
   * disk that fails is tried again there.
   */
  async arm(to: Tip): Promise<void> {
    const proposed = this.#proposed;
    if (proposed?.version === to.version) await this.#sealed(proposed, to).catch(() => undefined);
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
      this.#proposed = { version, prior: this.tip, bytes, draft, sealed: null };
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
    if (proposed === null) return;
    const staged = await proposed.sealed?.catch(() => undefined);
    if (staged === undefined) await this.#versions.discard(proposed.draft);
    else await this.#versions.abort(staged.version.tip);
  }

  /** Once, whoever asks first; again after a failure. */
  #sealed(proposed: Proposed, to: Tip): Promise<Staged> {
    if (proposed.sealed !== null) return proposed.sealed;
    const sealing = this.#versions.seal(proposed.draft, proposed.prior, to);
    proposed.sealed = sealing;
    sealing.catch(() => {
      proposed.sealed = null;
    });
    return sealing;
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

interface MasterDirectoryParts {
  readonly dataSet: MasterDataSet;
  readonly layer: MasterDirectoryLayer;
  readonly clock: Clock;
  /** Of a publish that names none. */
  readonly timeoutMs: number;
}

class MasterDirectoryHandle implements MasterDirectory {
  readonly dataSet: MasterDataSet;
  readonly #layer: MasterDirectoryLayer;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** Settles when the publish before has ended, however. */
  #before: Promise<ScheduledPublishOutcome | undefined> = Promise.resolve(undefined);

  constructor({ dataSet, layer, clock, timeoutMs }: MasterDirectoryParts) {
    this.dataSet = dataSet;
    this.#layer = layer;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
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

  publish(options?: PublishOptions & { readonly activateAt?: undefined }): Promise<PublishOutcome>;
  publish(options: PublishOptions): Promise<ScheduledPublishOutcome>;
  publish(options: PublishOptions = {}): Promise<ScheduledPublishOutcome> {
    const publishing = (async (): Promise<ScheduledPublishOutcome> => {
      // From when it is asked for, and not from when its turn comes.
      const activateAtMs = this.#instantOf(options);
      await this.#before;
      return this.#publish(options, activateAtMs);
    })();
    this.#before = publishing.catch(() => undefined);
    return publishing;
  }

  async difference(): Promise<TreeDifference> {
    return differenceOf(this.#layer.tree, await readFolder(this.#layer.source));
  }

  watch(options: WatchOptions = {}): AsyncIterable<WatchOutcome> {
    const publish = (): Promise<PublishOutcome> => this.publish({ ...options, activateAt: undefined });
    return watchFolder({ source: this.#layer.source, clock: this.#clock, publish }, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dataSet[Symbol.asyncDispose]();
  }

  #instantOf({ activateAt, phases }: PublishOptions): number | undefined {
    if (activateAt === undefined) return undefined;
    if (phases === 'one')
      throw new LockstepError('bad-option', "activateAt needs phases 'two': all have to agree on an instant before it");
    return this.dataSet.instantOf(activateAt);
  }

  async #publish(
    { allowEmpty, activateAt: _as, ...given }: PublishOptions,
    activateAtMs: number | undefined,
  ): Promise<ScheduledPublishOutcome> {
    given.signal?.throwIfAborted();
    await this.dataSet.leading(given.signal === undefined ? {} : { signal: given.signal });
    const startedMs = this.#clock.monotonicMs();
    if (!(await this.#nothingArmed(startedMs + (given.timeoutMs ?? this.#timeoutMs), given.signal))) {
      const durationMs = this.#clock.monotonicMs() - startedMs;
      const files = await this.difference();
      return { kind: 'aborted', reason: 'behind an armed change', refusals: [], durationMs, files };
    }
    if (!sameTip(this.dataSet.tip, this.#layer.tip))
      throw new LockstepError(
        'user-layer-failed',
        `version ${versionOf(this.dataSet.tip)} is committed and could not be written to this master's disk, as its log says; mend that, and restart this master: it recovers it`,
      );
    const proposed = await this.#layer.propose(allowEmpty === true);
    if (proposed === null) return { kind: 'unchanged', tip: this.tip };
    const { version, bytes, files } = proposed;
    const options: PublishOptions =
      activateAtMs === undefined ? given : { ...given, phases: 'two', activateAt: activateAtMs };
    let isArmed = false;
    try {
      const prior = versionOf(this.tip);
      const outcome = await this.dataSet.replicate({ ...options, version, prior, delta: bytes });
      isArmed = outcome.kind === 'armed';
      if (outcome.kind === 'armed') await this.#layer.arm(outcome.tip);
      return { ...outcome, files };
    } finally {
      // Decided or dropped by now, or armed; otherwise it was refused before it began, or this node stopped.
      if (!isArmed && this.tip?.version !== version) await this.#layer.withdraw();
    }
  }

  /** What the next version starts from isn't known before the armed one has shown, or was taken back. False: the time is up. */
  async #nothingArmed(deadlineMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    while (this.dataSet.armed !== null && this.dataSet.view().phase === 'leading') {
      const nowMs = this.#clock.monotonicMs();
      if (nowMs >= deadlineMs) return false;
      await pause(this.#clock, Math.min(armedPollMs, deadlineMs - nowMs), signal);
      if (signal?.aborted === true)
        throw new LockstepError('aborted-by-caller', 'the caller aborted', { cause: signal.reason });
    }
    return true;
  }
}

async function* asStream(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield bytes;
}

function isNothing({ added, changed, removed }: TreeDifference): boolean {
  return added.length + changed.length + removed.length === 0;
}
