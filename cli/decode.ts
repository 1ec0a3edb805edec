import type { Command } from 'commander';
import { ending } from './common.js';
import type { Shell } from './shell.js';

interface DecodeFlags {
  readonly keys?: string;
  readonly json?: true;
}

export function addDecode(program: Command, shell: Shell): void {
  program
    .command('decode')
    .description('print the packets of a capture (pcap or pcapng, from tcpdump or Wireshark), one line each')
    .argument('<file>', 'the capture; - reads standard input')
    .option('--keys <file>', "the group's keys, a master's or a slave's: decrypts, and checks signatures")
    .option('--json', 'print JSON, one line for each packet')
    .action(
      ending(shell, async (file: string, flags: DecodeFlags) => {
        const { decodeCapture } = await import('./capture/decode-capture.js');
        return decodeCapture(shell, { file, keyFile: flags.keys ?? null, json: flags.json === true });
      }),
    );
}
