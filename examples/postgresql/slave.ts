import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Slave } from 'lockstep/slave';
import { PriceCopy } from './price-copy.js';

const { values: flags } = parseArgs({
  options: {
    name: { type: 'string', default: 'a' },
    group: { type: 'string', default: '239.255.42.1:7401' },
    store: { type: 'string', default: 'data/prices-a' },
    'max-cents': { type: 'string', default: '100000' },
  },
});

mkdirSync(flags.store, { recursive: true });
const copy = new PriceCopy(join(flags.store, 'prices.json'), Number(flags['max-cents']));
const stop = new AbortController();
process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());

await using slave = await Slave.open({ name: flags.name, store: flags.store, group: flags.group });
const prices = await slave.register('prices', copy);
console.log(`at version ${prices.tip?.version ?? 0}: ${JSON.stringify(copy.prices)}`);
try {
  for await (const { tip } of prices.changes({ signal: stop.signal }))
    console.log(`version ${tip.version}: ${JSON.stringify(copy.prices)}`);
} catch (error) {
  if (!stop.signal.aborted) throw error;
}
