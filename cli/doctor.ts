import { isIP } from 'node:net';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import { transportModes } from '../shared/protocol/stream/paths.js';
import { defaultGroup, defaultInterface } from './binary-flags.js';
import { ending } from './common.js';
import { addConfigFlag, applyNodeConfiguration } from './config.js';
import type { DoctorFlags } from './doctor/flags.js';
import { hostPort, multicastGroup, nodeUrl, peerList, portNumber } from './flags.js';
import type { Shell } from './shell.js';

/** Whether this machine has it is a finding, and no wrong flag. */
function literalAddress(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError('give an IP address, as 10.0.0.1');
  return text;
}

export function addDoctor(program: Command, shell: Shell): void {
  const doctor = program
    .command('doctor')
    .description('look at this machine, its network and running nodes: what is well, what is not, and what mends it');
  addConfigFlag(doctor)
    .addOption(
      new Option('--to <url>', 'HTTP address of a running node to ask; repeat it for more')
        .default([], 'none')
        .argParser((text: string, before: readonly URL[]) => [...before, nodeUrl(text)]),
    )
    .addOption(new Option('--group <address:port>', 'multicast group').default(defaultGroup).argParser(multicastGroup))
    .addOption(
      new Option('--interface <address>', 'address of the interface that a node would use')
        .default(defaultInterface)
        .argParser(literalAddress),
    )
    .addOption(new Option('--transport <transport>', 'as the node would be given').choices(transportModes))
    .addOption(new Option('--peers <host:port,…>', 'as the node would be given').argParser(peerList))
    .addOption(new Option('--port <port>', "UDP port of the node's own socket").default(0).argParser(portNumber))
    .addOption(
      new Option('--http <host:port>', 'where the node would serve HTTP; default: not looked at').argParser(hostPort),
    )
    .option('--store <folder>', 'where the node would keep its data', './data/master')
    .option('--keys <file>', "the group's keys; default: the text in LOCKSTEP_KEYS, if any")
    .option('--insecure', 'as the node would be given')
    .option('--token-file <file>', 'file that holds the token for the nodes asked')
    .option('--ca <file>', "certificates (PEM) that the nodes' TLS certificates are checked with")
    .option('--json', 'print JSON, one line')
    .action(
      ending(shell, async () => {
        const settings = applyNodeConfiguration(program, doctor);
        const flags = doctor.opts<DoctorFlags>();
        const [{ examine, findingsText }, { hasFailed }] = await Promise.all([
          import('./doctor/examine.js'),
          import('./doctor/checks.js'),
        ]);
        const findings = await examine(flags, settings, shell);
        shell.out(flags.json === true ? JSON.stringify({ findings }) : findingsText(findings));
        return hasFailed(findings) ? exitCodes.unwell : exitCodes.ok;
      }),
    );
}
