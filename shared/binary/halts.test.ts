import { expect, test } from 'vitest';
import type { EventRecord } from '../runtime/ports.js';
import { watchHalts } from './halts.js';

function halted(fields: EventRecord['fields']): EventRecord {
  return { name: 'halted', level: 'error', fields };
}

test('the first data set that is over is told, and every event still reaches the log', async () => {
  const events: EventRecord[] = [];
  const { log, halted: first } = watchHalts({ record: (event) => void events.push(event) });
  log.record({ name: 'leading', level: 'info', fields: { dataSet: 'prices' } });
  log.record(halted({ dataSet: 'prices', code: 'stepped-down', reason: 'second leads' }));
  log.record(halted({ dataSet: 'routes', code: 'store-failed', reason: 'later' }));
  expect(await first).toEqual({ dataSet: 'prices', code: 'stepped-down', reason: 'second leads' });
  expect(events.map((event) => event.name)).toEqual(['leading', 'halted', 'halted']);
});

test('a reason may be called text', async () => {
  const { log, halted: first } = watchHalts({ record: () => undefined });
  log.record(halted({ dataSet: 'prices', code: 'name-taken', text: 'a runs already' }));
  expect((await first).reason).toBe('a runs already');
});
