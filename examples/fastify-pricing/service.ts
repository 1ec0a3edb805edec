import { parseArgs } from 'node:util';
import Fastify from 'fastify';
import { keyValue, loggerOf, Slave } from 'lockstep/slave';
import * as z from 'zod';
import { Price } from './price.js';

const { values: flags } = parseArgs({
  options: {
    name: { type: 'string', default: 'shop' },
    port: { type: 'string', default: '3000' },
    group: { type: 'string', default: '239.255.42.1:7401' },
    store: { type: 'string' },
  },
});

const Order = z.object({
  items: z.array(z.object({ sku: z.string(), quantity: z.number().int().positive() })).min(1),
});

const app = Fastify({ logger: { stream: process.stderr } });
const slave = await Slave.open({
  name: flags.name,
  store: flags.store ?? `data/${flags.name}`,
  group: flags.group,
  log: loggerOf(app.log),
});
const prices = await slave.register('prices', keyValue({ schema: Price }));
app.addHook('onClose', () => slave.close());

app.post('/orders', (request, reply) => {
  const order = Order.safeParse(request.body);
  if (!order.success) return reply.code(400).send({ error: z.prettifyError(order.error) });
  // No await from here to the answer: all prices are of one version, and it is the one that is named.
  let totalCents = 0;
  for (const { sku, quantity } of order.data.items) {
    const price = prices.get(sku);
    if (price === undefined) return reply.code(422).send({ error: `there is no price for ${sku}` });
    totalCents += price.cents * quantity;
  }
  return reply.send({ totalCents, version: prices.tip?.version ?? 0 });
});

// A copy that is a little old is better than no service: ready also while the master is away.
app.get('/readyz', (_request, reply) => {
  const isReady = prices.state !== 'catching up' && prices.tip !== null;
  return reply.code(isReady ? 200 : 503).send({ state: prices.state, version: prices.tip?.version ?? 0 });
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void app.close());
console.log(await app.listen({ port: Number(flags.port) }));
