import { describe, expect, test } from 'vitest';
import { EventParser } from './events.js';
import { dataSetOf, groupOf, masterAheadMs, member, nowMs, round, status, tip, veto } from './fixtures.js';
import { silenceMs, sinceMs, withRounds, withStatus } from './model.js';
import { placesOf } from './places.js';
import { decisionTimes, plotWindowMs, sampleOf, summaryOf, withSample } from './series.js';
import { ago, byName, calmSpan, counted, listed, size, span } from './words.js';

describe('words', () => {
  test.each([
    [0, '0 ms'],
    [0.3, '< 1 ms'],
    [4.25, '4.3 ms'],
    [42.4, '42 ms'],
    [1500, '1.5 s'],
    [12_300, '12 s'],
    [180_000, '3 min'],
    [7_300_000, '2 h'],
    [200_000_000, '2 days'],
  ])('a span of %d ms is %s', (spanMs, text) => {
    expect(span(spanMs)).toBe(text);
  });

  test('what counts on counts in whole seconds', () => {
    expect([300, 1600, 9400, 12_300].map(calmSpan)).toEqual(['1 s', '2 s', '9 s', '12 s']);
    expect([ago(400), ago(61_000)]).toEqual(['just now', '61 s ago']);
  });

  test('lists and numbers', () => {
    expect(listed(['b'])).toBe('b');
    expect(listed(['b', 'c'])).toBe('b and c');
    expect(listed(['b', 'c', 'd'])).toBe('b, c and d');
    expect(listed(['b', 'c', 'd', 'e'])).toBe('b, c and 2 more');
    expect([counted(1, 'slave'), counted(4321, 'slave')]).toEqual(['1 slave', '4,321 slaves']);
    expect([size(90), size(2048), size(3_300_000)]).toEqual(['90 B', '2 KiB', '3.1 MiB']);
    expect(['s10', 's2', 's1'].sort(byName)).toEqual(['s1', 's2', 's10']);
  });
});

describe('server-sent events', () => {
  const text = 'event: status\ndata: {"a":1}\n\n: still here\n\nevent: rounds\r\ndata: one\r\ndata: two\r\n\r\n';
  const events = [
    { name: 'status', data: '{"a":1}' },
    { name: 'rounds', data: 'one\ntwo' },
  ];

  test('wherever the stream is cut', () => {
    for (let cut = 0; cut <= text.length; cut += 1) {
      const parser = new EventParser();
      expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))]).toEqual(events);
    }
  });

  test('what is not finished is no event', () => {
    expect(new EventParser().push('event: status\ndata: {}\n')).toEqual([]);
  });
});

describe('what the page knows', () => {
  test('changes are put into the whole; who is gone goes', () => {
    const whole = withStatus(null, status([dataSetOf([member('a'), member('b')])]), nowMs);
    const change = dataSetOf([member('b', { behind: 2 }), member('c')], { gone: ['a'], tip: tip(14) });
    const dataSet = withStatus(whole, status([change], false), nowMs + 10)?.dataSets.get('prices');
    expect(dataSet?.head.tip?.version).toBe(14);
    expect([...(dataSet?.members ?? [])].map(([node, { body }]) => [node, body.behind])).toEqual([
      ['b', 2],
      ['c', 0],
    ]);
  });

  test('changes before the whole are nothing to go by', () => {
    expect(withStatus(null, status([dataSetOf([member('a')])], false), nowMs)).toBeNull();
  });

  test('a whole account replaces what was known: also data sets', () => {
    const before = withStatus(null, status([dataSetOf([member('a')]), dataSetOf([], { dataSet: 'other' })]), nowMs);
    const after = withStatus(before, status([dataSetOf([member('b')])]), nowMs);
    expect([...(after?.dataSets.keys() ?? [])]).toEqual(['prices']);
    expect([...(after?.dataSets.get('prices')?.members.keys() ?? [])]).toEqual(['b']);
  });

  test("ages count by the master's clock, and silence from when it was told", () => {
    const { group, dataSet } = groupOf(dataSetOf([member('a', { heardMsAgo: 5000 }), member('b')]));
    expect(group.masterAheadMs).toBe(masterAheadMs);
    expect(sinceMs(group, new Date(nowMs + masterAheadMs - 3000).toISOString(), nowMs + 1000)).toBe(4000);
    const silences = [...dataSet.members.values()].map((each) => silenceMs(each, nowMs + 2000));
    // `b` is heard all the time, and isn't told of each time.
    expect(silences).toEqual([7000, 100]);
  });

  test('rounds stay in order, each once, and change in place', () => {
    const { group } = groupOf(dataSetOf([]), [round(12, { agoMs: 3000, outcome: 'open' }), round(11, { agoMs: 4000 })]);
    const rounds = [round(13, { agoMs: 1000 }), round(12, { agoMs: 3000 })];
    const after = withRounds(group, { at: '', dataSet: 'prices', whole: false, rounds });
    expect(after?.dataSets.get('prices')?.rounds.map(({ version, outcome }) => [version, outcome])).toEqual([
      [13, 'committed'],
      [12, 'committed'],
      [11, 'committed'],
    ]);
  });
});

describe('where nodes stand', () => {
  test('trouble first, the worst first, and then by name', () => {
    const { dataSet } = groupOf(
      dataSetOf([
        member('s10'),
        member('s2'),
        member('far', { behind: 9, behindMs: 5000 }),
        member('farther', { behind: 90, behindMs: 5000 }),
        member('slow', { roundTripMs: 900 }),
        member('gone', { live: false, heardMsAgo: 60_000 }),
        member('going', { live: false, heardMsAgo: 4000 }),
        member('torn', { state: 'diverged' }),
        member('unsure', { inDoubt: 1, oldestInDoubtMs: 20_000 }),
      ]),
    );
    expect(placesOf(dataSet, nowMs).map(({ name, nodes }) => [name, ...nodes])).toEqual([
      ['stuck', 'unsure', 'torn'],
      ['silent', 'gone', 'going'],
      ['behind', 'farther', 'far'],
      ['well', 'slow', 's2', 's10'],
    ]);
  });

  test('a silent node in doubt is silent: that is why it does not know', () => {
    const lost = member('a', { live: false, heardMsAgo: 9000, inDoubt: 1, oldestInDoubtMs: 9000 });
    expect(placesOf(groupOf(dataSetOf([lost])).dataSet, nowMs).find(({ name }) => name === 'silent')?.nodes).toEqual([
      'a',
    ]);
  });
});

describe('plots', () => {
  test('the slowest of those who are heard', () => {
    const { dataSet } = groupOf(
      dataSetOf([
        member('a'),
        member('b', { behind: 1, behindMs: 700 }),
        member('c', { live: false, behind: 5, behindMs: 90_000 }),
      ]),
    );
    expect(sampleOf(dataSet, nowMs)).toEqual({ atMs: nowMs, worstMs: 700, behind: 1 });
  });

  test('five minutes are kept', () => {
    const old = [0, 1, 2].map((index) => ({ atMs: nowMs + index * 1000, worstMs: 0, behind: 0 }));
    const kept = old.reduce(withSample, /** @type {readonly Sample[]} */ []);
    const sample = { atMs: nowMs + 1500 + plotWindowMs, worstMs: 1, behind: 1 };
    expect(withSample(kept, sample).map(({ atMs }) => atMs)).toEqual([nowMs + 2000, sample.atMs]);
  });

  test("committed and refused rounds apart, oldest first, by this browser's clock", () => {
    const { group, dataSet } = groupOf(dataSetOf([]), [
      veto(13, 'b', 'no', 1000),
      round(12, { agoMs: 2000, decidedMs: 8 }),
      round(11, { agoMs: 3000, outcome: 'open', decidedMs: null }),
      round(10, { agoMs: plotWindowMs + 1 }),
    ]);
    expect(decisionTimes(group, dataSet, nowMs)).toEqual([
      [nowMs / 1000 - 2, nowMs / 1000 - 1],
      [8, null],
      [null, 10],
    ]);
    expect(summaryOf([8, null, 2, 4])).toEqual({ middle: 4, worst: 8, count: 3 });
    expect(summaryOf([null])).toBeNull();
  });
});
