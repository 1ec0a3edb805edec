import { createLogger as createWinston, format, transports } from 'winston';
import { errorText } from '../protocol/kernel/errors.js';
import type { EventLog, EventRecord } from './ports.js';

export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LoggerOptions {
  /** Events below it aren't formatted at all; default `info`. */
  readonly level?: LogLevel;
  /** `text`: `timestamp level name key=value…`, for people. `json`: one object a line. Default `text`. */
  readonly format?: 'text' | 'json';
  /** Default standard error: standard output belongs to results. */
  readonly stream?: NodeJS.WritableStream;
}

/** Names and values of an event, one event a line, by winston. */
export function createLogger(options: LoggerOptions = {}): EventLog {
  const { level = 'info', stream = process.stderr } = options;
  const line = options.format === 'json' ? jsonLine : textLine;
  const logger = createWinston({
    level,
    format: format.combine(
      format.timestamp(),
      format.printf((info) => line(info as unknown as LoggedEvent)),
    ),
    transports: [new transports.Stream({ stream })],
  });
  return {
    wants: (_name, eventLevel) => logger.isLevelEnabled(eventLevel),
    record: ({ name, level: eventLevel, fields }: EventRecord) => {
      if (logger.isLevelEnabled(eventLevel)) logger.log({ level: eventLevel, message: name, fields });
    },
  };
}

interface LoggedEvent {
  readonly timestamp: string;
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function textLine({ timestamp, level, message, fields }: LoggedEvent): string {
  const parts = Object.entries(fields).filter(([, value]) => value !== undefined);
  return [timestamp, level, message, ...parts.map(([key, value]) => `${key}=${textOf(value)}`)].join(' ');
}

function jsonLine({ timestamp, level, message, fields }: LoggedEvent): string {
  return JSON.stringify({ timestamp, level, event: message, ...fields }, plain);
}

/** Bare when that is unambiguous; quoted as JSON otherwise, so that a value can't forge a line. */
function textOf(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value, plain) ?? String(value));
  return typeof value === 'string' && !/^[\w.:/@%+,-]+$/u.test(text) ? JSON.stringify(text) : text;
}

/** What JSON can't say, or says at too great a length. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Error) return errorText(value);
  if (ArrayBuffer.isView(value)) return `<${value.byteLength} bytes>`;
  if (value instanceof Map || value instanceof Set) return [...value];
  // A buffer becomes this before a replacer sees it.
  if (isPackedBuffer(value)) return `<${value.data.length} bytes>`;
  return value;
}

function isPackedBuffer(value: unknown): value is { readonly data: readonly number[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    value.type === 'Buffer' &&
    'data' in value &&
    Array.isArray(value.data)
  );
}
