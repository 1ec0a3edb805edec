import { Command } from 'commander';
import { packageVersion } from '../shared/metrics/version.js';
import { addCancel } from './cancel.js';
import { addCompletion } from './completion.js';
import { addDecode } from './decode.js';
import { addConfig, configureRoles } from './config.js';
import { addDelete } from './delete.js';
import { addDiff } from './diff.js';
import { addDiscard } from './discard.js';
import { endingOf, oneLine } from './exit.js';
import { addDoctor } from './doctor.js';
import { addExport } from './export.js';
import { addForget } from './forget.js';
import { addGet } from './get.js';
import { addHistory } from './history.js';
import { addKey } from './key-rotate.js';
import { addKeygen } from './keygen.js';
import { addLoad } from './load.js';
import { addMaster } from './master.js';
import { addMembers } from './members.js';
import { addPublish } from './publish.js';
import { addPut } from './put.js';
import { addResolve } from './resolve.js';
import { addRollBack } from './roll-back.js';
import type { Shell } from './shell.js';
import { addSlave } from './slave.js';
import { addStatus } from './status.js';
import { addToken } from './token.js';
import { addWatch } from './watch.js';

/** The `lockstep` command with all that it can do. */
export function createProgram(shell: Shell): Command {
  const program = new Command('lockstep')
    .description('Keeps one data set the same on many servers: all of them switch to a new version, or none does.')
    .version(packageVersion, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'say what a command takes')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        shell.out(text.trimEnd());
      },
      writeErr: (text) => {
        shell.err(text);
      },
      // One line, also with a suggestion.
      outputError: (text, write) => {
        write(
          `lockstep: ${oneLine(text)
            .replace(/^error: /, '')
            .replace(/\.$/, '')}${hintOf(text)}\n`,
        );
      },
    });
  addMaster(program, shell);
  addSlave(program, shell);
  addPublish(program, shell);
  configureRoles(program);
  addPut(program, shell);
  addGet(program, shell);
  addDelete(program, shell);
  addLoad(program, shell);
  addExport(program, shell);
  addStatus(program, shell);
  addWatch(program, shell);
  addHistory(program, shell);
  addDiff(program, shell);
  addMembers(program, shell);
  addForget(program, shell);
  addRollBack(program, shell);
  addCancel(program, shell);
  addKeygen(program, shell);
  addKey(program, shell);
  addResolve(program, shell);
  addDiscard(program, shell);
  addToken(program, shell);
  addDoctor(program, shell);
  addConfig(program, shell, { master: addMaster, slave: addSlave });
  addCompletion(program, shell);
  addDecode(program, shell);
  return program;
}

/** Runs one command line (without `node` and the script) and leaves its exit code in the shell. Never rejects. */
export async function runProgram(shell: Shell, parameters: readonly string[]): Promise<void> {
  try {
    await createProgram(shell).parseAsync([...parameters], { from: 'user' });
  } catch (error) {
    const { exitCode, text } = endingOf(error);
    shell.exitCode = exitCode;
    if (text !== '') shell.err(text);
  }
}

/** A wrong value says itself what to give; the rest is in the help. */
function hintOf(text: string): string {
  return text.includes('is invalid') ? '' : '; --help says what there is';
}
