import { writeSync } from 'node:fs';
import { LockstepError } from '../protocol/kernel/errors.js';
import { broken } from '../protocol/kernel/invariant.js';
import type { MessageKind } from '../protocol/wire/messages.js';

/**
 * What the programs do to the world, by role: what they send, what they make durable, what they ask of the ready-made
 * user layer. A process under test may be told to kill itself just before or just after any of it, as `kill -9` would:
 * no handler runs, no packet leaves, no file is closed. `crash-hooks.ts` puts the hooks in.
 */
export const crashSteps = {
  master: {
    send: [
      'survey',
      'report',
      'claim',
      'welcome',
      'refusal',
      'heartbeat',
      'clock',
      'announce',
      'prepare',
      'commit',
      'abort',
      'arming',
      'resolution',
      'deltas',
      'too-old',
      'bulk-offer',
      'snapshot-request',
      'leave',
    ],
    /**
     * `start`: this start is counted; `arming`: a scheduled change is decided, or taken back; `copy`: an adopted copy becomes
     * the original.
     */
    write: ['start', 'epoch', 'member', 'decision', 'arming', 'adoption', 'copy'],
    callback: ['open', 'write', 'expose', 'restore', 'snapshot', 'install'],
  },
  slave: {
    send: [
      'report',
      'promise',
      'join',
      'status',
      'clock-request',
      'vote',
      'inquiry',
      'resolution',
      'delta-request',
      'snapshot-request',
      'bulk-offer',
      'leave',
    ],
    /**
     * `copy`: data and tip, and the end of the prepared record; `armed`: it is marked as armed, or as armed no more; `release`: the end of one whose round was aborted;
     * `resolved`: an operator decided a round in doubt.
     */
    write: ['start', 'promise', 'prepared', 'armed', 'copy', 'release', 'resolved'],
    callback: ['open', 'prepare', 'write', 'expose', 'abort', 'install', 'snapshot'],
  },
} as const satisfies Record<string, { readonly send: readonly MessageKind[] } & Record<string, readonly string[]>>;

type Steps = typeof crashSteps;
export type CrashRole = keyof Steps;
export type CrashAction = 'send' | 'write' | 'callback';
export type CrashMoment = 'before' | 'after';
/** `send:prepare`. */
export type CrashStep<Role extends CrashRole> = {
  [Action in CrashAction]: `${Action}:${Steps[Role][Action][number]}`;
}[CrashAction];
/** `master:before-send:prepare`. */
export type CrashPointName = {
  [Role in CrashRole]: `${Role}:${CrashMoment}-${CrashStep<Role>}`;
}[CrashRole];

export const crashPointNames = (Object.keys(crashSteps) as CrashRole[]).flatMap(crashPointsOf);

export function crashPointsOf(role: CrashRole): readonly CrashPointName[] {
  const steps: Readonly<Record<CrashAction, readonly string[]>> = crashSteps[role];
  return (Object.keys(steps) as CrashAction[]).flatMap((action) =>
    steps[action].flatMap((kind) =>
      (['before', 'after'] as const).map((moment) => `${role}:${moment}-${action}:${kind}` as CrashPointName),
    ),
  );
}

/** The environment variable that the binaries read: `NAME`, or `NAME:3` for the third time that it is reached. */
export const crashPointVariable = 'LOCKSTEP_CRASH_AT';

/** One armed point. A process that isn't under test has none. */
export class CrashPoint {
  readonly name: CrashPointName;
  readonly role: CrashRole;
  readonly #die: (name: CrashPointName) => void;
  #passesLeft: number;

  /** `occurrence` counts from 1, since the process started. */
  constructor(name: CrashPointName, occurrence: number, die: (name: CrashPointName) => void = killSelf) {
    this.name = name;
    this.role = name.startsWith('master:') ? 'master' : 'slave';
    this.#passesLeft = occurrence - 1;
    this.#die = die;
  }

  /** Returns, unless this is the time. A step that the table doesn't have is a bug: it would be one that nobody tests. */
  reached(moment: CrashMoment, action: CrashAction, kind: string): void {
    const known: readonly string[] = crashSteps[this.role][action];
    if (!known.includes(kind)) broken(`${this.role} has no crash point for ${action} ${kind}`);
    if (`${this.role}:${moment}-${action}:${kind}` !== this.name) return;
    if (this.#passesLeft > 0) this.#passesLeft -= 1;
    else this.#die(this.name);
  }
}

/** Undefined when the variable is unset or empty. Throws `bad-option` for a name or a count that is none. */
export function crashPointOf(
  text: string | undefined,
  role: CrashRole,
  die?: (name: CrashPointName) => void,
): CrashPoint | undefined {
  if (text === undefined || text === '') return undefined;
  const names = crashPointsOf(role);
  const name = names.find((known) => text === known || text.startsWith(`${known}:`));
  const count = name === undefined || text === name ? '1' : text.slice(name.length + 1);
  const occurrence = /^\d+$/.test(count) ? Number(count) : 0;
  if (name === undefined || !Number.isSafeInteger(occurrence) || occurrence < 1) {
    throw new LockstepError(
      'bad-option',
      `${crashPointVariable} '${text}' is no crash point of a ${role}; give NAME or NAME:COUNT, with NAME one of ${names.join(', ')}, or unset it`,
    );
  }
  return new CrashPoint(name, occurrence, die);
}

/** The signal can't be caught, and a process's own is delivered before the call returns. */
function killSelf(name: CrashPointName): void {
  writeSync(2, `${deathLine(name)}\n`); // straight to the file: nothing is left to be flushed
  process.kill(process.pid, 'SIGKILL');
}

/** What a process says last, so that a test can tell this death from any other. */
export function deathLine(name: CrashPointName): string {
  return `lockstep: killed at crash point ${name}`;
}
