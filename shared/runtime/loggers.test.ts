import Fastify from 'fastify';
import { Writable } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import { createLogger, format, transports } from 'winston';
import type { EventRecord } from './ports.js';
import { guardedLog, loggerOf } from './loggers.js';

function sink(): { readonly stream: Writable; readonly lines: () => Record<string, unknown>[] } {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  const lines = (): Record<string, unknown>[] =>
    chunks
      .join('')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { stream, lines };
}

function event(level: EventRecord['level'], name = 'member joined'): EventRecord {
  return { name, level, fields: { dataSet: 'prices', node: 's1' } };
}

describe('a logger of the host', () => {
  it("may be pino: Fastify's own", () => {
    const { stream, lines } = sink();
    const log = loggerOf(Fastify({ logger: { level: 'info', stream } }).log);
    log.record(event('info'));
    log.record(event('debug'));
    expect(lines()).toMatchObject([{ level: 30, msg: 'member joined', dataSet: 'prices', node: 's1' }]);
    expect(log.wants?.('committed', 'debug')).toBe(false);
    expect(log.wants?.('halted', 'error')).toBe(true);
  });

  it('may be winston', () => {
    const { stream, lines } = sink();
    const logger = createLogger({
      level: 'warn',
      format: format.json(),
      transports: [new transports.Stream({ stream })],
    });
    const log = loggerOf(logger);
    log.record(event('warn'));
    log.record(event('info'));
    expect(lines()).toEqual([{ level: 'warn', message: 'member joined', dataSet: 'prices', node: 's1' }]);
    expect(log.wants?.('leading', 'info')).toBe(false);
  });

  it('may be a console, which has no level of its own', () => {
    const calls: unknown[][] = [];
    const method = (level: string) => (text: string, fields: object) => void calls.push([level, text, fields]);
    const consoleLike = { debug: method('debug'), info: method('info'), warn: method('warn'), error: method('error') };
    loggerOf(consoleLike).record(event('debug'));
    expect(calls).toEqual([]);
    loggerOf(consoleLike, { level: 'debug' }).record(event('debug'));
    loggerOf(consoleLike).record(event('error'));
    expect(calls).toEqual([
      ['debug', 'member joined', { dataSet: 'prices', node: 's1' }],
      ['error', 'member joined', { dataSet: 'prices', node: 's1' }],
    ]);
    expect(() => loggerOf(console)).not.toThrow();
  });

  it('says which way round it takes text and fields, when it must', () => {
    const calls: unknown[][] = [];
    const method = (...values: unknown[]): void => void calls.push(values);
    loggerOf({ debug: method, info: method, warn: method, error: method }, { fieldsFirst: true }).record(event('info'));
    expect(calls).toEqual([[{ dataSet: 'prices', node: 's1' }, 'member joined']]);
  });

  it('is refused when it lacks a level', () => {
    const { warn: _warn, ...lacking } = console;
    expect(() => loggerOf(lacking as never)).toThrow(
      "log: the logger has no 'warn'; it needs debug, info, warn, error",
    );
    expect(() => loggerOf(console, { level: 'loud' as never })).toThrow(/level must be one of debug/);
  });
});

describe('a log that throws', () => {
  it('disturbs nobody, and is told once to the process', () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const log = guardedLog({
      wants: () => {
        throw new Error('no wants');
      },
      record: () => {
        throw new Error('disk full');
      },
    });
    log.record(event('info'));
    log.record(event('info'));
    expect(log.wants?.('leading', 'info')).toBe(false);
    expect(warned).toHaveBeenCalledTimes(1);
    expect(warned.mock.calls[0]?.[0]).toContain('disk full');
  });
});
