import { spawn } from 'node:child_process';
import { errorText } from '../shared/protocol/kernel/errors.js';
import type { StagedFolder } from './user/directory-types.js';

/** What a check may say: its last lines are the ones that tell. */
const keptBytes = 4096;
/** Who doesn't listen to the polite signal. */
const killMs = 2000;
/** What a check has no business with. */
const secrets = ['LOCKSTEP_KEYS', 'LOCKSTEP_HTTP_TOKENS', 'LOCKSTEP_TOKEN'];

/**
 * Judges a staged folder by a command of the operator: exit code 0 accepts, everything else refuses with what the command
 * said last.
 *
 * The command line is the operator's alone. What comes from the group (names, contents, the version) reaches it as files
 * and in its environment, never as text that a shell reads. It runs in the staged folder, without the keys and tokens of
 * this process, and is ended with all that it started when the vote is too late.
 */
export function checkCommand(command: string): (staged: StagedFolder) => Promise<true | string> {
  return (staged) =>
    new Promise((resolve) => {
      const child = spawn('/bin/sh', ['-c', command], {
        cwd: staged.folder,
        env: environmentOf(staged),
        stdio: ['ignore', 'pipe', 'pipe'],
        // A group of its own, so that all of it can be ended.
        detached: true,
      });
      let said = Buffer.alloc(0);
      const note = (bytes: Buffer): void => {
        said = Buffer.concat([said, bytes]).subarray(-keptBytes);
      };
      child.stdout.on('data', note);
      child.stderr.on('data', note);
      const end = (signal: NodeJS.Signals): void => {
        try {
          if (child.pid !== undefined) process.kill(-child.pid, signal);
        } catch {
          // Ended by itself meanwhile.
        }
      };
      let kill: NodeJS.Timeout | null = null;
      const stop = (): void => {
        end('SIGTERM');
        kill = setTimeout(() => end('SIGKILL'), killMs);
      };
      staged.signal.addEventListener('abort', stop, { once: true });
      if (staged.signal.aborted) stop();
      const settle = (verdict: true | string): void => {
        staged.signal.removeEventListener('abort', stop);
        if (kill !== null) clearTimeout(kill);
        resolve(verdict);
      };
      child.once('error', (error) => settle(`the check could not be started: ${errorText(error)}`));
      child.once('close', (exitCode, signal) => {
        if (exitCode === 0 && !staged.signal.aborted) settle(true);
        else
          settle(reasonOf(said, staged.signal.aborted ? 'took too long' : (signal ?? `ended with ${exitCode ?? 0}`)));
      });
    });
}

function environmentOf(staged: StagedFolder): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...process.env };
  for (const secret of secrets) delete environment[secret];
  return {
    ...environment,
    LOCKSTEP_STAGED: staged.folder,
    LOCKSTEP_CURRENT: staged.current ?? '',
    LOCKSTEP_VERSION: String(staged.version),
    LOCKSTEP_DATA_SET: staged.dataSet,
  };
}

function reasonOf(said: Buffer, how: string): string {
  const lines = said
    .toString('utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const text = lines.slice(-3).join(' · ');
  return text === '' ? `the check ${how}` : text;
}
