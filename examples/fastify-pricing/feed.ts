import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { keyValue, Master } from 'lockstep/master';
import type { Price } from './price.js';

const { values: flags } = parseArgs({
  options: {
    group: { type: 'string', default: '239.255.42.1:7401' },
    store: { type: 'string', default: 'data/feed' },
  },
});

await using master = await Master.open({ store: flags.store, group: flags.group });
const prices = await master.register('prices', keyValue<Price>());

/** One change a line: an object of articles and their prices; null takes one out of the range. */
for await (const line of createInterface({ input: process.stdin })) {
  let articles: Record<string, Price | null>;
  try {
    articles = JSON.parse(line) as Record<string, Price | null>;
  } catch {
    console.log('give one object a line, like {"tea": {"cents": 450}}');
    continue;
  }
  const outcome = await prices.change(
    Object.entries(articles).map(([sku, price]) => (price === null ? { delete: sku } : { put: [sku, price] })),
  );
  if (outcome.kind === 'committed') console.log(`committed version ${outcome.tip.version}`);
  else if (outcome.kind === 'unknown') console.log(`unknown: ${outcome.reason}`);
  else {
    const refusals = outcome.refusals.map(({ node, reason }) => `${node}: ${reason}`);
    console.log(`aborted: ${refusals.join('; ') || outcome.reason}`);
  }
}
