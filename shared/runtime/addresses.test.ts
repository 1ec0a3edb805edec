import { expect, test } from 'vitest';
import { AddressCache, formatAddress, parseHostPort } from './addresses.js';

test('addresses are taken apart and put together', () => {
  for (const [text, host, port] of [
    ['127.0.0.1:7401', '127.0.0.1', 7401],
    ['[::1]:1', '::1', 1],
    ['host.example:65535', 'host.example', 65535],
    ['a:0', 'a', 0],
  ] as const) {
    expect(parseHostPort(text)).toEqual({ host, port });
    expect(formatAddress(host, port)).toBe(text);
  }
});

test('what is no address is null', () => {
  for (const text of [
    '',
    ':1',
    'a:',
    'a',
    'a:65536',
    'a:1:2',
    '::1:5',
    '[a]:1',
    '[::1]',
    '[::1]1',
    'a b:1',
    'a:-1',
    'a:1x',
  ]) {
    expect(parseHostPort(text), text).toBeNull();
  }
});

test('a cache knows literal addresses of its family with a port, and never holds more than its bound', () => {
  const cache = new AddressCache({ family: 4, bound: 3 });
  for (const text of ['localhost:1', '[::1]:1', '127.0.0.1:0', '127.0.0.1']) expect(cache.parse(text)).toBeNull();
  for (let port = 1; port < 20; port += 1)
    expect(cache.parse(`127.0.0.1:${port}`)).toEqual({ host: '127.0.0.1', port });
  const one = cache.parse('127.0.0.1:5');
  expect(cache.parse('127.0.0.1:5')).toBe(one);
});
