import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { createLogger, type LoggerOptions } from './logging.js';

function logged(options: LoggerOptions): { readonly lines: string[]; readonly log: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { lines, log: createLogger({ ...options, stream }) };
}

test('one line an event: time, level, name, fields', () => {
  const { lines, log } = logged({});
  log.record({
    name: 'joined',
    level: 'info',
    fields: { node: 's1', behind: 3, address: '127.0.0.1:7401', tip: null, skipped: undefined },
  });
  expect(lines).toEqual([
    expect.stringMatching(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z info joined node=s1 behind=3 address=127\.0\.0\.1:7401 tip=null\n$/,
    ),
  ]);
});

test("no value forges a line or a field; what JSON can't say is said", () => {
  const { lines, log } = logged({});
  log.record({
    name: 'odd',
    level: 'warn',
    fields: {
      text: 'a b=c\nforged',
      empty: '',
      error: new Error('boom'),
      bytes: new Uint8Array(5),
      buffer: Buffer.alloc(6),
      big: 10n,
      list: [1, { bytes: Buffer.alloc(2) }],
      undef: undefined,
    },
  });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.trimEnd().split('\n')).toHaveLength(1);
  expect(lines[0]).toContain(
    'text="a b=c\\nforged" empty="" error="boom" bytes="<5 bytes>" buffer="<6 bytes>" big="10" list=[1,{"bytes":"<2 bytes>"}]',
  );
});

test('as JSON', () => {
  const { lines, log } = logged({ format: 'json' });
  log.record({ name: 'joined', level: 'error', fields: { node: 's1', error: new Error('boom') } });
  expect(JSON.parse(lines[0] ?? '')).toEqual({
    timestamp: expect.any(String) as unknown,
    level: 'error',
    event: 'joined',
    node: 's1',
    error: 'boom',
  });
});

test('what is below the level is left out', () => {
  const { lines, log } = logged({ level: 'warn' });
  for (const level of ['debug', 'info', 'warn', 'error'] as const) log.record({ name: level, level, fields: {} });
  expect(lines.map((line) => line.split(' ')[2]?.trim())).toEqual(['warn', 'error']);
});
