import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Master } from 'lockstep/master';
import { PriceTable, type PricePatch } from './price-table.js';

const { values: flags } = parseArgs({
  options: {
    group: { type: 'string', default: '239.255.42.1:7401' },
    store: { type: 'string', default: 'data/prices-master' },
    database: { type: 'string', default: 'postgresql://localhost/postgres' },
  },
});

const table = await PriceTable.connect({ connectionString: flags.database });
{
  await using master = await Master.open({ store: flags.store, group: flags.group });
  const prices = await master.register('prices', table);
  await prices.leading();
  console.log(`leading at version ${prices.tip?.version ?? 0}`);

  /** One change a line: an object of articles and their prices in cents; null takes one out of the range. */
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const version = await table.propose(JSON.parse(line) as PricePatch);
      const outcome = await prices.replicate({ version });
      if (outcome.kind === 'committed') console.log(`version ${version} is committed`);
      else
        console.log(
          `version ${version} is ${outcome.kind}: ${outcome.reason}`,
          'refusals' in outcome ? outcome.refusals : '',
        );
    } catch (error) {
      console.log(`not changed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
await table.close();
