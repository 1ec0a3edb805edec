import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import type { EventLevel } from '../protocol/kernel/events.js';
import type { EventLog } from './ports.js';

type LogMethod = (...values: never[]) => unknown;

/** A logger as most have it: pino, Fastify's `log`, bunyan, winston, the console. */
export interface AnyLogger {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  /** When there is one, it is asked before an event is made. */
  readonly isLevelEnabled?: (level: never) => boolean;
}

export interface LoggerOfOptions {
  /** Events below it are dropped. Default: what the logger says of itself, or `info` when it can't say. */
  readonly level?: EventLevel;
  /**
   * Whether the logger takes the fields before the text (pino, bunyan) or behind it (winston, the console). Default: told
   * by what the logger is made of.
   */
  readonly fieldsFirst?: boolean;
}

const levels: readonly EventLevel[] = ['debug', 'info', 'warn', 'error'];

/**
 * A logger of your own, to be given as `log`: the event's name is the text, its fields are the fields. Throws `bad-option`
 * when it lacks one of the four levels.
 *
 * `await Master.open({ store, log: loggerOf(pino()) })`
 */
export function loggerOf(logger: AnyLogger, options: LoggerOfOptions = {}): EventLog {
  for (const level of levels) {
    if (typeof logger[level] !== 'function')
      throw new LockstepError('bad-option', `log: the logger has no '${level}'; it needs ${levels.join(', ')}`);
  }
  const lowest = options.level ?? (typeof logger.isLevelEnabled === 'function' ? 'debug' : 'info');
  if (!levels.includes(lowest))
    throw new LockstepError('bad-option', `log: level must be one of ${levels.join(', ')}, not '${String(lowest)}'`);
  const fieldsFirst = options.fieldsFirst ?? takesFieldsFirst(logger);
  const target = logger as unknown as Record<EventLevel, (first: unknown, second: unknown) => void> & {
    isLevelEnabled?: (level: string) => boolean;
  };
  const wants = (level: EventLevel): boolean =>
    levels.indexOf(level) >= levels.indexOf(lowest) && (target.isLevelEnabled?.(level) ?? true);
  return {
    wants: (_name, level) => wants(level),
    record: ({ name, level, fields }) => {
      if (!wants(level)) return;
      if (fieldsFirst) target[level](fields, name);
      else target[level](name, fields);
    },
  };
}

/** Pino's `bindings` and bunyan's `addSerializers` are theirs alone. */
function takesFieldsFirst(logger: object): boolean {
  return ['bindings', 'addSerializers'].some((name) => typeof (logger as Record<string, unknown>)[name] === 'function');
}

/**
 * A log that was given from outside: it is called in the middle of a node's turn, so a throw ends here. The first one is
 * told to the process as a warning.
 */
export function guardedLog(log: EventLog): EventLog {
  let told = false;
  const failed = (error: unknown): void => {
    if (told) return;
    told = true;
    process.emitWarning(`the log that Lockstep was given throws, so events are missing in it: ${errorText(error)}`, {
      type: 'LockstepWarning',
      code: 'LOCKSTEP_LOG',
    });
  };
  return {
    wants: (name, level) => {
      try {
        return log.wants?.(name, level) ?? true;
      } catch (error) {
        failed(error);
        return false;
      }
    },
    record: (event) => {
      try {
        log.record(event);
      } catch (error) {
        failed(error);
      }
    },
  };
}
