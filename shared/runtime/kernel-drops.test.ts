import { expect, test } from 'vitest';
import { parseKernelSockets } from './kernel-drops.js';

const table = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  310: 2AEFFFEF:1CE9 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 14401 2 0000000000000000 17
 1234: 0100007F:9C40 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 14400 2 0000000000000000 0
`;

test('sockets with their port, inode and drops are read from the table of the kernel', () => {
  expect(parseKernelSockets(table)).toEqual([
    { port: 0x1ce9, inode: 14_401, drops: 17 },
    { port: 0x9c40, inode: 14_400, drops: 0 },
  ]);
});

test('lines that are none, and tables of a kernel without that column, give nothing', () => {
  expect(parseKernelSockets('')).toEqual([]);
  expect(parseKernelSockets('  310: 2AEFFFEF:1CE9 00000000:0000 07 nonsense')).toEqual([]);
});
