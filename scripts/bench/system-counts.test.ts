import { expect, test } from 'vitest';
import { parseNetstat } from './system-counts.js';

test("what the system sent to groups is read from the kernel's table", () => {
  const text = [
    'TcpExt: SyncookiesSent OutMcastPkts',
    'TcpExt: 1 2',
    'IpExt: InNoRoutes InMcastPkts OutMcastPkts InOctets InMcastOctets OutMcastOctets',
    'IpExt: 0 17 42 9 8 4711',
    '',
  ].join('\n');
  expect(parseNetstat(text)).toEqual({ packets: 42, bytes: 4711 });
});

test('a table without them tells nothing', () => {
  expect(parseNetstat('TcpExt: A\nTcpExt: 1\n')).toBeNull();
  expect(parseNetstat('IpExt: InNoRoutes\nIpExt: 0\n')).toBeNull();
});
