import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { StagedDataSet, tipAt } from '../../tests/browser/stage.js';
import type { LiveRounds, LiveStatus } from './live-bodies.js';
import { liveBounds, LiveFeed, liveRound, type LiveListener } from './live.js';

/** Keeps what it is sent. */
class Listener implements LiveListener {
  unreadBytes = 0;
  text = '';
  ended = false;
  isCut = false;
  write(bytes: Buffer): void {
    this.text += bytes.toString();
  }
  end(): void {
    this.ended = true;
  }
  cut(): void {
    this.isCut = true;
  }
  /** The events since the last call. */
  take(): { readonly name: string; readonly body: unknown }[] {
    const blocks = this.text.split('\n\n').filter((block) => block.startsWith('event: '));
    this.text = '';
    return blocks.map((block) => {
      const [first = '', second = ''] = block.split('\n');
      return { name: first.slice('event: '.length), body: JSON.parse(second.slice('data: '.length)) as unknown };
    });
  }
}

let dataSet: StagedDataSet;
let reads: number;
let feed: LiveFeed;

beforeEach(() => {
  vi.useFakeTimers();
  dataSet = new StagedDataSet('prices', 12, ['a', 'b', 'c']);
  reads = 0;
  feed = new LiveFeed('master', () => {
    reads += 1;
    return [{ body: dataSet.body(), rounds: (limit) => dataSet.rounds.slice(0, limit) }];
  });
});

afterEach(() => {
  feed.close();
  vi.useRealTimers();
});

function listen(): Listener {
  const listener = new Listener();
  expect(feed.add(listener)).toBe(true);
  return listener;
}

function statusIn(listener: Listener): LiveStatus | undefined {
  return listener.take().find(({ name }) => name === 'status')?.body as LiveStatus | undefined;
}

describe('the feed of dashboards', () => {
  test('who comes gets the whole at once', () => {
    dataSet.commit();
    const [status, rounds, ...more] = listen().take();
    expect(more).toEqual([]);
    expect(status?.body).toMatchObject({
      node: 'master',
      whole: true,
      dataSets: [
        { dataSet: 'prices', tip: { version: 13 }, members: [{ node: 'a' }, { node: 'b' }, { node: 'c' }], gone: [] },
      ],
    });
    expect(status?.body).not.toHaveProperty('dataSets[0].stateDigest');
    expect(rounds?.body).toMatchObject({ dataSet: 'prices', whole: true, rounds: [{ version: 13, yes: 3, no: 0 }] });
  });

  test('afterwards only what changed is sent', () => {
    const listener = listen();
    listener.take();
    dataSet.change('b', { behind: 1 });
    vi.advanceTimersByTime(liveBounds.tickMs);
    const status = statusIn(listener);
    expect(status).toMatchObject({ whole: false, dataSets: [{ members: [{ node: 'b', behind: 1 }], gone: [] }] });
    dataSet.members.delete('a');
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(statusIn(listener)?.dataSets).toMatchObject([{ members: [], gone: ['a'] }]);
  });

  test('ages that grow, and round trips that waver, are no change', () => {
    dataSet.openRounds = [{ round: 1, version: 13, phase: 'preparing', ageMs: 1, voters: ['a'], missing: ['a'] }];
    const listener = listen();
    listener.take();
    dataSet.openRounds = dataSet.openRounds.map((round) => ({ ...round, ageMs: 400 }));
    for (const node of ['a', 'b', 'c']) dataSet.change(node, { heardMsAgo: 900, roundTripMs: 1.2 });
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(listener.take()).toEqual([]);
    dataSet.change('a', { roundTripMs: 80 });
    dataSet.change('c', { heardMsAgo: liveBounds.heardRecentlyMs + 1 });
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(statusIn(listener)?.dataSets[0]?.members.map(({ node }) => node)).toEqual(['a', 'c']);
    // Its silence was told. That it goes on is no news; that it ends is.
    dataSet.change('c', { heardMsAgo: 5000 });
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(listener.take()).toEqual([]);
    dataSet.change('c', { heardMsAgo: 10 });
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(statusIn(listener)?.dataSets[0]?.members.map(({ node }) => node)).toEqual(['c']);
  });

  test('rounds are sent when they begin, and when something about them changes', () => {
    const listener = listen();
    listener.take();
    const open = { ...dataSet.round({ version: 13 }), outcome: 'open' as const, decidedMs: null, votes: [] };
    dataSet.rounds = [open];
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(listener.take()).toMatchObject([{ name: 'rounds', body: { whole: false, rounds: [{ outcome: 'open' }] } }]);
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(listener.take()).toEqual([]);
    dataSet.rounds = [{ ...open, outcome: 'committed', decidedMs: 4 }];
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(listener.take()).toMatchObject([{ name: 'rounds', body: { rounds: [{ outcome: 'committed' }] } }]);
  });

  test('an armed round is told when somebody reports, and when its instant has come, and not as the time goes by', () => {
    const at = new Date(Date.now() + 3_600_000).toISOString();
    const known = { version: 13, activateAt: at, inMs: 3_600_000, phase: 'armed' };
    dataSet.armed = { ...known, armed: 2, of: 3, missing: ['c'] };
    const armed = { ...dataSet.round({ version: 13 }), outcome: 'armed' as const, exposedMs: null };
    dataSet.rounds = [{ ...armed, activation: { at, armed: 2, of: 3 } }];
    const listener = listen();
    listener.take();
    dataSet.armed = { ...dataSet.armed, inMs: 3_599_000 };
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(listener.take()).toEqual([]);
    dataSet.armed = { ...dataSet.armed, armed: 3, missing: [] };
    dataSet.rounds = [{ ...armed, activation: { at, armed: 3, of: 3 } }];
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(listener.take()).toMatchObject([
      { name: 'status', body: { dataSets: [{ armed: { armed: 3, missing: [] } }] } },
      { name: 'rounds', body: { rounds: [{ outcome: 'armed', activation: { armed: 3 } }] } },
    ]);
    vi.advanceTimersByTime(3_600_000 - 2 * liveBounds.tickMs);
    listener.take();
    dataSet.armed = null;
    dataSet.rounds = [{ ...armed, outcome: 'committed', activation: { at, armed: 3, of: 3 } }];
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(listener.take()).toMatchObject([
      { name: 'status', body: { dataSets: [{ armed: null }] } },
      { name: 'rounds', body: { rounds: [{ outcome: 'committed', exposedMs: null }] } },
    ]);
    dataSet.rounds = dataSet.rounds.map((round) => ({ ...round, exposedMs: 3_600_001 }));
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(listener.take()).toMatchObject([{ name: 'rounds', body: { rounds: [{ exposedMs: 3_600_001 }] } }]);
  });

  test('two that came at different times know the same', () => {
    const early = listen();
    early.take();
    dataSet.change('b', { behind: 2 });
    const late = listen();
    expect(statusIn(early)?.dataSets).toMatchObject([{ members: [{ node: 'b', behind: 2 }] }]);
    expect(statusIn(late)?.whole).toBe(true);
    dataSet.change('b', { behind: 0, tip: tipAt(13) });
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(early.text).toBe(late.text);
    expect(statusIn(late)?.dataSets[0]?.members).toHaveLength(1);
  });

  test('the group is read once in a tick, however many listen, and never when nobody does', () => {
    vi.advanceTimersByTime(10_000);
    expect(reads).toBe(0);
    const listeners = [listen(), listen(), listen()];
    reads = 0;
    vi.advanceTimersByTime(1000);
    expect(reads).toBe(1000 / liveBounds.tickMs);
    for (const listener of listeners) feed.remove(listener);
    reads = 0;
    vi.advanceTimersByTime(10_000);
    expect(reads).toBe(0);
  });

  test('a calm group still sends something each second', () => {
    const listener = listen();
    listener.take();
    vi.advanceTimersByTime(3 * liveBounds.silenceMs);
    expect(listener.text.split(': still here\n\n')).toHaveLength(4);
  });

  test('listeners are bounded', () => {
    const listeners = Array.from({ length: liveBounds.listeners }, listen);
    expect(feed.add(new Listener())).toBe(false);
    const [first] = listeners;
    if (first !== undefined) feed.remove(first);
    expect(feed.add(new Listener())).toBe(true);
  });

  test('one that does not read is cut off, and the others go on', () => {
    const [slow, quick] = [listen(), listen()];
    slow.unreadBytes = liveBounds.unreadBytes + 1;
    slow.take();
    quick.take();
    dataSet.commit();
    vi.advanceTimersByTime(liveBounds.tickMs);
    expect(slow.isCut).toBe(true);
    expect(slow.text).toBe('');
    expect(quick.take().map(({ name }) => name)).toEqual(['status', 'rounds']);
    expect(feed.listeners).toBe(1);
  });

  test('closing says goodbye and ends everybody', () => {
    const listener = listen();
    listener.take();
    feed.close();
    expect(listener.take().map(({ name }) => name)).toEqual(['bye']);
    expect(listener.ended).toBe(true);
    expect(feed.add(new Listener())).toBe(false);
  });
});

describe('a round in the feed', () => {
  test('of a small group has every vote', () => {
    expect(liveRound(dataSet.round({ version: 13, refusals: { b: 'no' } }))).toMatchObject({
      yes: 2,
      no: 1,
      isShort: false,
    });
  });

  test('of a large group has the refusals and the slowest votes', () => {
    const large = new StagedDataSet(
      'prices',
      1,
      Array.from({ length: 300 }, (_, index) => `n${index}`),
    );
    const round = large.round({ version: 2, refusals: { n7: 'no', n9: 'no' } });
    const short = liveRound(round);
    expect(short).toMatchObject({ yes: 298, no: 2, isShort: true });
    expect(
      short.votes
        .filter(({ yes }) => !yes)
        .map(({ node }) => node)
        .sort(),
    ).toEqual(['n7', 'n9']);
    const slowestMs = Math.max(...round.votes.map(({ afterMs }) => afterMs));
    expect(short.votes.filter(({ yes }) => yes)).toHaveLength(liveBounds.slowestVotes);
    expect(short.votes.some(({ afterMs }) => afterMs === slowestMs)).toBe(true);
  });

  test('the event of many rounds is in order', () => {
    for (let index = 0; index < liveBounds.rounds + 5; index += 1) dataSet.commit();
    const rounds = listen().take()[1]?.body as LiveRounds;
    expect(rounds.rounds).toHaveLength(liveBounds.rounds);
    expect(rounds.rounds[0]?.version).toBe(dataSet.version);
  });
});
