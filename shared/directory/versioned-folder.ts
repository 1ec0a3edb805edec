import { createHash } from 'node:crypto';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import type { Digest, Tip } from '../protocol/kernel/ids.js';
import { sameTip, showTip } from '../protocol/kernel/ids.js';
import { directoryBounds as bounds } from '../protocol/directory/bounds.js';
import { encodeHead, headBetween, type Read } from '../protocol/directory/change-codec.js';
import type { Tree } from '../protocol/directory/tree.js';
import { codeOf, type Files } from './files.js';
import { writeChange } from './staging.js';
import { contentName, HeldContents, manifestName, manifestText, parseManifest, type Version } from './version.js';
import { VersionDraft } from './version-draft.js';
import { ownerFile, VersionOwner } from './version-owner.js';

export interface VersionedFolderOptions {
  /** The symbolic link that readers go by. It and nothing else says which version is shown. */
  readonly link: string;
  /** Where versions are kept: on the file system of the link. Default: `.NAME.lockstep` beside the link. */
  readonly state?: string | undefined;
  readonly dataSet: string;
  /** The slave that shows the versions: one owns a link. Left out where nobody else could come by it. */
  readonly node?: string;
  readonly files: Files;
}

/** Complete and durable, but shown to nobody. */
export interface Staged {
  readonly from: Tip | null;
  readonly version: Version;
  readonly folder: string;
}

/** Beside the files of a version: takes the place of the link when the version shows. */
const nextLink = 'next';

/**
 * Versions of a folder on this disk, and the link that shows one of them. A version lies in a folder of its own, with its
 * tip in a list beside the files; the link is replaced by one `rename`, so that data and tip change in one atomic step, and
 * a crash at any point leaves the old version or the new one. The version before stays; older ones go.
 */
export class VersionedFolder {
  readonly link: string;
  readonly state: string;
  readonly #files: Files;
  readonly #owner: VersionOwner;
  #current: Version | null = null;
  #previous: Version | null = null;
  #staged: Staged[] = [];
  /** Names of versions in the making. */
  readonly #drafts = new Set<string>();
  /** Versions that somebody reads, by name. */
  readonly #pins = new Map<string, number>();
  /** Ends when what the newest switch has left over is gone. */
  #tidying: Promise<void> = Promise.resolve();
  #digest: { readonly of: Version; readonly digest: Digest } | null = null;

  constructor(options: VersionedFolderOptions) {
    this.#files = options.files;
    this.link = resolve(options.link);
    this.state = resolve(options.state ?? join(dirname(this.link), `.${basename(this.link)}.lockstep`));
    this.#owner = new VersionOwner(options.files, this, options);
  }

  get tip(): Tip | null {
    return this.#current?.tip ?? null;
  }

  get tree(): Tree {
    return this.#current?.tree ?? new Map();
  }

  get previousTip(): Tip | null {
    return this.#previous?.tip ?? null;
  }

  /** The folder that the link shows, by its own name: it keeps its content when the link goes on. Null: no version yet. */
  get shown(): string | null {
    return this.#current === null ? null : this.contentOf(this.#current.name);
  }

  /** Resolves when nothing is left to be done on this disk but what somebody asks for. */
  async settled(): Promise<void> {
    await this.#tidying;
  }

  contentOf(name: string): string {
    return join(this.state, name, contentName);
  }

  /**
   * Finds out what is shown, and drops what a crash has left. Rejects with `store-unusable` or `store-foreign` when the
   * link's place is taken by something else; nothing is touched then.
   */
  async open(): Promise<Tip | null> {
    if (process.platform === 'win32')
      throw new LockstepError(
        'bad-option',
        'a directory needs symbolic links and file modes; run this node on Linux, macOS or a BSD',
      );
    const name = await this.#shownName();
    await this.#readable(() => this.#owner.take());
    this.#current = name === null ? null : await this.#load(name);
    this.#previous = await this.#loadPrevious();
    this.#staged = [];
    await this.#prune();
    return this.tip;
  }

  /** Rejects as `open` does when something else stands in the link's place; only looks. */
  async check(): Promise<void> {
    await this.#shownName();
    await this.#readable(() => this.#owner.check());
  }

  /** A draft on top of what is shown, or of nothing; `seal` or `discard` ends it. */
  async draft(tip: { readonly version: number; readonly chain?: string }): Promise<VersionDraft> {
    // A folder that isn't known yet would be taken for a leftover.
    await this.#tidying;
    const name = await this.#makeVersionFolder(tip);
    this.#drafts.add(name);
    return new VersionDraft(this.#files, name, join(this.state, name), HeldContents.of(this.#current, this.state));
  }

  /**
   * Writes the list with the tip: from now on the draft is a version that may be shown. What can be done before it shows is done
   * here, so that a scheduled one is late by a single step.
   */
  async seal(draft: VersionDraft, from: Tip | null, to: Tip): Promise<Staged> {
    const prior = this.#current?.name ?? null;
    const version: Version = { name: draft.name, tip: to, prior, tree: draft.tree, writtenMs: draft.writtenMs };
    await this.#files.remove(join(draft.folder, manifestName));
    const list = await this.#files.create(join(draft.folder, manifestName));
    try {
      await list.write(Buffer.from(manifestText(version)));
    } catch (error) {
      await list.abandon();
      throw error;
    }
    await list.finish(0o600);
    await this.#makeNext(draft.name);
    await this.#files.sync(draft.folder);
    await this.#files.sync(this.state);
    const staged = { from, version, folder: draft.folder };
    this.#staged.push(staged);
    this.#drafts.delete(draft.name);
    return staged;
  }

  async discard(draft: VersionDraft): Promise<void> {
    await this.#files.remove(draft.folder);
    this.#drafts.delete(draft.name);
  }

  findStaged(from: Tip | null, to: Tip): Staged | null {
    return this.#staged.find((staged) => sameTip(staged.version.tip, to) && sameTip(staged.from, from)) ?? null;
  }

  /**
   * Writes what a change makes of the version it starts from, shown to nobody. `from` null: the change is everything. A
   * reason says what is wrong with the change; only the disk rejects.
   */
  async stage(from: Tip | null, to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<Read<Staged>> {
    if (from !== null && !sameTip(from, this.tip))
      return { ok: false, reason: `the change starts at ${showTip(from)}, and this folder is at ${showTip(this.tip)}` };
    const draft = await this.draft(to);
    try {
      const written = await writeChange(draft, from === null ? null : this.tree, chunks);
      if (written.ok) return { ok: true, value: await this.seal(draft, from, to) };
      await this.discard(draft);
      return written;
    } catch (error) {
      // The failure that counts is the first one.
      await this.discard(draft).catch(() => undefined);
      throw error;
    }
  }

  /** Drops what is staged for the tip; of something unknown: nothing happens. */
  async abort(to: Tip): Promise<void> {
    const dropped = this.#staged.filter((staged) => sameTip(staged.version.tip, to));
    this.#staged = this.#staged.filter((staged) => !dropped.includes(staged));
    for (const staged of dropped) await this.#files.remove(staged.folder);
  }

  /** G4: the one atomic durable step, which shows the version and its tip. May be called again when it failed. */
  async show(staged: Staged): Promise<void> {
    await this.#point(staged.version);
    this.#previous = this.#current;
    this.#current = staged.version;
    // Whatever else is staged starts from the version before.
    this.#staged = [];
    this.#tidy();
  }

  /** Back to the version before, when that is at `tip`. False: it isn't here. */
  async showPrevious(tip: Tip | null): Promise<boolean> {
    const previous = this.#previous;
    if (previous === null || !sameTip(previous.tip, tip)) return false;
    await this.#point(previous);
    this.#previous = null;
    this.#current = previous;
    this.#tidy();
    return true;
  }

  /** Of names, modes and contents, whatever path led to them. */
  stateDigest(): Digest {
    const current = this.#current;
    if (this.#digest?.of !== current || current === null) {
      const rows = [...this.tree].sort(([a], [b]) => (a < b ? -1 : 1));
      const text = JSON.stringify(
        rows.map(([path, entry]) => [path, entry.mode, entry.kind === 'file' ? entry.digest : '']),
      );
      const digest = createHash('sha256').update(text).digest('hex').slice(0, 32) as Digest;
      if (current === null) return digest;
      this.#digest = { of: current, digest };
    }
    return this.#digest.digest;
  }

  /** The version that is shown, whole. It stays on disk while it is read, whatever is shown meanwhile. */
  snapshot(at: Tip): AsyncIterable<Uint8Array> {
    const current = this.#current;
    if (current === null || !sameTip(current.tip, at))
      throw new LockstepError(
        'not-current',
        `this folder is at ${showTip(this.tip)}, so it can't give the state at ${showTip(at)}`,
      );
    this.#pins.set(current.name, (this.#pins.get(current.name) ?? 0) + 1);
    return this.#streamed(current);
  }

  async *#streamed(version: Version): AsyncGenerator<Uint8Array, void, void> {
    try {
      const head = headBetween(null, version.tree);
      const held = HeldContents.of(version, this.state);
      yield encodeHead(head);
      for (const { digest } of head.contents) {
        const path = held.find({ kind: 'file', mode: 0, bytes: 0, digest });
        yield* this.#files.pieces(join(held.root, path ?? ''), bounds.pieceBytes);
      }
    } finally {
      const readers = (this.#pins.get(version.name) ?? 1) - 1;
      if (readers > 0) this.#pins.set(version.name, readers);
      else this.#pins.delete(version.name);
    }
  }

  async #point(version: Version): Promise<void> {
    const wanted = this.#linkText(version.name);
    const found = await this.#files.linkTarget(this.link);
    const known = this.#current === null ? null : this.#linkText(this.#current.name);
    // Equal to what is wanted: an earlier call came so far, and couldn't make it durable.
    if (found !== wanted) {
      if (found !== known)
        throw new LockstepError(
          'store-unusable',
          `${this.link} ${found === null ? 'is no link any more' : `points to ${found}`}, and this process did not do that; does another one use it? Restart this one to go on from there`,
        );
      await this.#replaceLink(version.name);
    }
    await this.#files.sync(dirname(this.link));
  }

  async #replaceLink(name: string): Promise<void> {
    const next = join(this.state, name, nextLink);
    try {
      await this.#files.rename(next, this.link);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      // It has shown before.
      await this.#makeNext(name);
      await this.#files.rename(next, this.link);
    }
  }

  async #makeNext(name: string): Promise<void> {
    const next = join(this.state, name, nextLink);
    await this.#files.remove(next);
    await this.#files.makeLink(this.#linkText(name), next);
  }

  /** Relative, so that the folder around both may be moved or mounted elsewhere. */
  #linkText(name: string): string {
    return relative(dirname(this.link), this.contentOf(name));
  }

  /** The name of the version that the link shows; null when there is no link. */
  async #shownName(): Promise<string | null> {
    const facts = await this.#readable(() => this.#files.facts(this.link));
    if (facts === null) return null;
    const target = facts.kind === 'link' ? await this.#files.linkTarget(this.link) : null;
    const folder = target === null ? '' : dirname(resolve(dirname(this.link), target));
    if (target !== null && dirname(folder) === this.state && basename(target) === contentName) return basename(folder);
    const what = facts.kind === 'link' ? `a link to ${target ?? 'nothing'}` : `a ${facts.kind} of its own`;
    throw new LockstepError(
      'store-unusable',
      `${this.link} is ${what}, and would be replaced by the link that shows the versions; move it away (mv ${this.link} ${this.link}.before) or name another place, then start again; nothing was touched`,
    );
  }

  async #readable<Value>(work: () => Promise<Value>): Promise<Value> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof LockstepError) throw error;
      throw new LockstepError(
        'store-unusable',
        `${this.link} can't be used with its versions in ${this.state}: ${errorText(error)}; give a folder that this user may write`,
        { cause: error },
      );
    }
  }

  async #load(name: string): Promise<Version> {
    const path = join(this.state, name, manifestName);
    let text: string;
    try {
      text = (await this.#files.read(path)).toString('utf8');
    } catch (error) {
      throw new LockstepError(
        'store-unusable',
        `${this.link} shows a version without its list: ${errorText(error)}; ${this.#anew}`,
        {
          cause: error,
        },
      );
    }
    const version = parseManifest(name, text);
    if (version.ok) return version.value;
    throw new LockstepError('store-format', `${path} can't be used: ${version.reason}; ${this.#anew}`);
  }

  get #anew(): string {
    return `remove the link ${this.link} to have the whole folder sent again`;
  }

  /** Only for going back: a damaged one is dropped. */
  async #loadPrevious(): Promise<Version | null> {
    const name = this.#current?.prior ?? null;
    if (name === null || name.includes('/')) return null;
    try {
      return await this.#load(name);
    } catch {
      return null;
    }
  }

  async #makeVersionFolder({ version, chain }: { readonly version: number; readonly chain?: string }): Promise<string> {
    // A tip's chain comes from a peer. Only what can't be anything but a name becomes one.
    const suffix = chain === undefined ? '' : `-${chain.replaceAll(/[^0-9a-f]/g, '').slice(0, 12)}`;
    for (let again = 0; ; again += 1) {
      const name = `v${version}${suffix}${again === 0 ? '' : `.${again}`}`;
      try {
        await this.#files.makeFolder(join(this.state, name));
        // Whoever may read the files is decided by their own modes, as at the master.
        await this.#files.setMode(join(this.state, name), 0o755);
        return name;
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
      }
    }
  }

  /**
   * Beside what comes next, since removing many files takes long, and whoever waits for the switch waits for no more. What can't be
   * removed goes with the next version: nothing that was promised depends on it.
   */
  #tidy(): void {
    this.#tidying = this.#tidying.then(() => this.#prune()).catch(() => undefined);
  }

  async #prune(): Promise<void> {
    const kept = new Set([ownerFile, this.#current?.name, this.#previous?.name, ...this.#pins.keys(), ...this.#drafts]);
    for (const { version } of this.#staged) kept.add(version.name);
    for (const name of await this.#files.names(this.state)) {
      const text = name.toString('utf8');
      if (!kept.has(text)) await this.#files.remove(join(this.state, text));
    }
  }
}
