import { describe, expect, test } from 'vitest';
import * as flags from './flags.js';

test.each([
  ['500ms', 500],
  ['2s', 2000],
  ['1.5s', 1500],
  ['1m', 60_000],
  ['250', 250],
  ['24h', 86_400_000],
])('duration %s', (text, expected) => {
  expect(flags.duration(text)).toBe(expected);
});

test.each([
  ['127.0.0.1:7400', '127.0.0.1', 7400],
  ['localhost:0', 'localhost', 0],
  ['[::1]:80', '::1', 80],
])('host and port %s', (text, host, port) => {
  expect(flags.hostPort(text)).toEqual({ host, port });
});

test('a list of peers may be given in parts', () => {
  expect(flags.peerList('127.0.0.1:1, 127.0.0.1:2', flags.peerList('[::1]:3', undefined))).toEqual([
    '[::1]:3',
    '127.0.0.1:1',
    '127.0.0.1:2',
  ]);
});

describe('what is wrong is refused with what to give', () => {
  test.each<[string, (text: string) => unknown, readonly string[]]>([
    ['duration', flags.duration, ['', '0', '2x', '-1s', '25h', '1e3', '0.5ms']],
    [
      'hostPort',
      flags.hostPort,
      ['', '7400', ':7400', '127.0.0.1', '127.0.0.1:70000', '::1:80', '[127.0.0.1]:1', '300.1.2.3:1', 'a b:1'],
    ],
    [
      'multicastGroup',
      flags.multicastGroup,
      ['127.0.0.1:7401', '239.255.42.1', '239.255.42.1:0', '[ff02::1]:7401', '240.0.0.1:1'],
    ],
    ['interfaceAddress', flags.interfaceAddress, ['eth0', '203.0.113.77', '']],
    ['peerList', (text) => flags.peerList(text, undefined), ['', '127.0.0.1', '127.0.0.1:1,', '127.0.0.1:0']],
    ['portNumber', flags.portNumber, ['-1', '65536', 'x', '']],
    ['nodeName', flags.nodeName, ['', 'a/b', 'x'.repeat(65), 'a\nb']],
    ['dataSetNames', (text) => flags.dataSetNames(text, ['a']), ['a', 'x/y']],
    ['voterPolicy', flags.voterPolicy, ['some', '0', '-1', '']],
    ['wholeNumber', flags.wholeNumber, ['0', '1.5', 'x']],
    ['nodeUrl', flags.nodeUrl, ['ftp://x', 'ftp://127.0.0.1', 'http://', 'http://h/path', ':']],
    ['keyArgument', flags.keyArgument, ['', 'x'.repeat(513)]],
  ])('%s', (_name, parse, wrong) => {
    for (const text of wrong) expect(() => parse(text), JSON.stringify(text)).toThrow(/[Gg]ive|A key has/);
  });
});

test('loopback', () => {
  expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].every(flags.isLoopback)).toBe(true);
  expect(['0.0.0.0', '10.0.0.1', '::', '127.example.org'].some(flags.isLoopback)).toBe(false);
});
