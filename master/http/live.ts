import type { MasterDataSetBody, MemberBody, PastRoundBody } from '../../shared/http/bodies.js';
import type { LiveDataSetHead, LiveRound, LiveRounds, LiveStatus } from './live-bodies.js';

/** The bounds of the live feed, with the reason for each. */
export const liveBounds = {
  /** Four times a second looks immediate, and a group of hundreds costs the master next to nothing. */
  tickMs: 250,
  /** Something is sent at least this often: who hears nothing for a few of these has lost the connection. */
  silenceMs: 1000,
  /** Dashboards at once; each holds a connection and gets every change. */
  listeners: 64,
  /** What a listener may leave unread; a slower one is cut off, and gets the whole when it comes back. */
  unreadBytes: 4 * 1024 * 1024,
  /** Rounds that are sent to who comes. */
  rounds: 60,
  /** Rounds that are looked at in a tick. Under load the dashboard shows the newest. */
  roundsOfTick: 20,
  /** Until all show a committed version, its round may change. After so long it is left as it is. */
  exposureMs: 10_000,
  /** Groups up to this size have all of their votes in the feed. */
  votes: 12,
  /** Of a larger group: so many refusals, and the slowest votes. */
  refusals: 8,
  slowestVotes: 3,
  /** A member that was heard within this is simply there: its age is of no interest, and changes all the time. */
  heardRecentlyMs: 2000,
} as const;

/** One data set as it is at this moment. */
export interface LiveReading {
  readonly body: MasterDataSetBody;
  /** The newest, newest first. Asked for only when there may be news of them: each has all of its votes. */
  readonly rounds: (limit: number) => readonly PastRoundBody[];
}

export interface LiveListener {
  /** Bytes that were written, and that the client hasn't taken. */
  readonly unreadBytes: number;
  write(bytes: Buffer): void;
  end(): void;
  /** Lets go at once. */
  cut(): void;
}

interface Told {
  head: string;
  /** By node. */
  readonly members: Map<string, ToldMember>;
  /** By name of the round, newest first. */
  rounds: ReadonlyMap<string, ToldRound>;
}

interface ToldRound {
  readonly mark: string;
  readonly mayChange: boolean;
}

interface ToldMember {
  readonly body: MemberBody;
  readonly stable: string;
}

/**
 * What goes on in the group, for all dashboards at once: read and put into bytes once in a tick, however many there are, and
 * not at all while nobody listens. Only what changed is sent; who comes gets the whole first.
 */
export class LiveFeed {
  readonly #node: string;
  readonly #read: () => readonly LiveReading[];
  readonly #listeners = new Set<LiveListener>();
  #told = new Map<string, Told>();
  #timer: NodeJS.Timeout | null = null;
  #quietMs = 0;
  #closed = false;

  constructor(node: string, read: () => readonly LiveReading[]) {
    this.#node = node;
    this.#read = read;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** False when there are as many as may be, or when the feed has ended. Else the listener hears the whole at once. */
  add(listener: LiveListener): boolean {
    if (this.#closed || this.#listeners.size >= liveBounds.listeners) return false;
    // Those who are there hear what changed first: so all of them know the same, and what changes next fits all.
    const readings = this.#read();
    this.#tellChanges(readings);
    listener.write(wholeEvents(this.#node, readings));
    this.#listeners.add(listener);
    this.#timer ??= setInterval(() => {
      this.tick();
    }, liveBounds.tickMs).unref();
    return true;
  }

  remove(listener: LiveListener): void {
    if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#rest();
  }

  /** Reads, and tells everybody what changed. */
  tick(): void {
    this.#tellChanges(this.#read());
  }

  #tellChanges(readings: readonly LiveReading[]): void {
    const events = this.#changes(readings);
    if (this.#listeners.size === 0) return;
    this.#quietMs = events === '' ? this.#quietMs + liveBounds.tickMs : 0;
    if (events !== '') this.#tell(Buffer.from(events));
    else if (this.#quietMs >= liveBounds.silenceMs) {
      this.#quietMs = 0;
      this.#tell(stillHere);
    }
  }

  /** Says goodbye and ends every listener. */
  close(): void {
    this.#closed = true;
    for (const listener of this.#listeners) {
      listener.write(Buffer.from(event('bye', { at: new Date().toISOString() })));
      listener.end();
    }
    this.#listeners.clear();
    this.#rest();
  }

  #rest(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#told = new Map();
    this.#quietMs = 0;
  }

  #tell(bytes: Buffer): void {
    for (const listener of this.#listeners) {
      if (listener.unreadBytes <= liveBounds.unreadBytes) listener.write(bytes);
      else {
        this.remove(listener);
        listener.cut();
      }
    }
  }

  #changes(readings: readonly LiveReading[]): string {
    const at = new Date().toISOString();
    const dataSets = readings.flatMap((reading) => this.#changesOf(reading));
    const rounds = readings.map((reading) => this.#changedRounds(reading, at)).join('');
    if (dataSets.length === 0) return rounds;
    return event('status', { at, node: this.#node, whole: false, dataSets } satisfies LiveStatus) + rounds;
  }

  #changesOf({ body }: LiveReading): LiveStatus['dataSets'] {
    const told = this.#toldOf(body.dataSet);
    const head = headOf(body);
    const stableHead = JSON.stringify(withoutAges(head));
    const members = body.members.filter((member) => this.#isNews(told, member));
    const gone: string[] = [];
    if (told.members.size > body.members.length) {
      const there = new Set(body.members.map(({ node }) => node));
      for (const node of told.members.keys()) if (!there.has(node)) gone.push(node);
      for (const node of gone) told.members.delete(node);
    }
    if (stableHead === told.head && members.length === 0 && gone.length === 0) return [];
    told.head = stableHead;
    return [{ ...head, members, gone }];
  }

  #isNews(told: Told, member: MemberBody): boolean {
    const before = told.members.get(member.node);
    const stable = JSON.stringify(withoutAgesOf(member));
    if (before?.stable === stable && !isOtherRoundTrip(before.body.roundTripMs, member.roundTripMs)) return false;
    told.members.set(member.node, { body: member, stable });
    return true;
  }

  #changedRounds({ body, rounds }: LiveReading, at: string): string {
    const told = this.#toldOf(body.dataSet);
    const [newest] = rounds(1);
    const [newestTold] = told.rounds.keys();
    if (newest?.round === newestTold && ![...told.rounds.values()].some(({ mayChange }) => mayChange)) return '';
    const now = new Map<string, ToldRound>();
    const changed: LiveRound[] = [];
    for (const round of rounds(liveBounds.roundsOfTick)) {
      const mark = markOf(round);
      now.set(round.round, { mark, mayChange: mayChange(round, Date.parse(at)) });
      if (told.rounds.get(round.round)?.mark !== mark) changed.push(liveRound(round));
    }
    told.rounds = now;
    return changed.length === 0 ? '' : roundsEvent({ at, dataSet: body.dataSet, whole: false, rounds: changed });
  }

  #toldOf(dataSet: string): Told {
    let told = this.#told.get(dataSet);
    if (told === undefined) {
      told = { head: '', members: new Map(), rounds: new Map() };
      this.#told.set(dataSet, told);
    }
    return told;
  }
}

/** A comment of the format: nobody reads it, and it shows that the connection is there. */
const stillHere = Buffer.from(': still here\n\n');

function wholeEvents(node: string, readings: readonly LiveReading[]): Buffer {
  const at = new Date().toISOString();
  const dataSets = readings.map(({ body }) => ({ ...headOf(body), members: body.members, gone: [] }));
  const status = event('status', { at, node, whole: true, dataSets } satisfies LiveStatus);
  const rounds = readings.map(({ body, rounds }) =>
    roundsEvent({
      at,
      dataSet: body.dataSet,
      whole: true,
      rounds: rounds(liveBounds.rounds).map(liveRound),
    }),
  );
  return Buffer.from(status + rounds.join(''));
}

function event(name: string, body: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(body)}\n\n`;
}

function roundsEvent(body: LiveRounds): string {
  return event('rounds', body);
}

function headOf({ members: _members, stateDigest: _stateDigest, ...head }: MasterDataSetBody): LiveDataSetHead {
  return head;
}

/** What grows with time alone is no change: the dashboard counts on by itself. */
function withoutAges(head: LiveDataSetHead): object {
  const armed = head.armed === null ? null : { ...head.armed, inMs: 0 };
  return { ...head, armed, openRounds: head.openRounds.map((round) => ({ ...round, ageMs: 0 })) };
}

/** The same of a member: what grows is told in steps that a reader would notice. */
function withoutAgesOf(member: MemberBody): object {
  return {
    ...member,
    heardMsAgo: soundOf(member),
    roundTripMs: null,
    behindMs: inSteps(member.behindMs),
    oldestInDoubtMs: inSteps(member.oldestInDoubtMs),
  };
}

/** Tenths of a second, and whole ones from ten on. */
function inSteps(ageMs: number | null): number | null {
  if (ageMs === null) return null;
  const stepMs = ageMs < 10_000 ? 100 : 1000;
  return Math.ceil(ageMs / stepMs) * stepMs;
}

function soundOf({ heardMsAgo }: MemberBody): string {
  if (heardMsAgo === null) return 'never';
  return heardMsAgo > liveBounds.heardRecentlyMs ? 'silent' : 'heard';
}

/** By half, and by a millisecond at least: it is never twice the same. */
function isOtherRoundTrip(before: number | null, now: number | null): boolean {
  if (before === null || now === null) return before !== now;
  return Math.abs(now - before) > Math.max(1, before / 2);
}

/** Differs whenever something that the dashboard shows of a round does. */
function markOf({ outcome, decidedMs, exposedMs, votes, activation }: PastRoundBody): string {
  return `${outcome} ${decidedMs} ${exposedMs} ${votes.length} ${activation?.armed}`;
}

function mayChange({ outcome, phases, exposedMs, startedAt, activation }: PastRoundBody, nowMs: number): boolean {
  if (outcome === 'open' || outcome === 'armed') return true;
  const waitsToBeShown = outcome === 'committed' && phases === 'two' && exposedMs === null;
  // A scheduled one has waited for its instant first.
  return waitsToBeShown && nowMs - Date.parse(activation?.at ?? startedAt) < liveBounds.exposureMs;
}

export function liveRound(round: PastRoundBody): LiveRound {
  const yes = round.votes.reduce((sum, vote) => sum + Number(vote.yes), 0);
  const counted = { ...round, yes, no: round.votes.length - yes, silent: round.missing.length };
  if (round.votes.length + round.missing.length <= liveBounds.votes) return { ...counted, isShort: false };
  const refusals = round.votes.filter((vote) => !vote.yes).slice(0, liveBounds.refusals);
  const slowest = round.votes
    .filter((vote) => vote.yes)
    .sort((one, other) => other.afterMs - one.afterMs)
    .slice(0, liveBounds.slowestVotes);
  const missing = round.missing.slice(0, liveBounds.refusals);
  return { ...counted, votes: [...refusals, ...slowest], missing, isShort: true };
}
