import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keyValue as original, Master } from 'lockstep/master';
import { keyValue as copy, Slave } from 'lockstep/slave';
import * as v from 'valibot';
import * as z from 'zod';

const group = process.argv[2] ?? '239.255.42.1:7401';
const folder = await mkdtemp(join(tmpdir(), 'lockstep-schema-veto-'));
try {
  await run();
} finally {
  await rm(folder, { recursive: true });
}

async function run(): Promise<void> {
  await using master = await Master.open({ store: join(folder, 'master'), group });
  await using zodSlave = await Slave.open({ name: 'zod', store: join(folder, 'zod'), group });
  await using valibotSlave = await Slave.open({ name: 'valibot', store: join(folder, 'valibot'), group });

  const byZod = await zodSlave.register('prices', copy({ schema: z.object({ cents: z.number().positive() }) }));
  const byValibot = await valibotSlave.register(
    'prices',
    copy({ schema: v.object({ cents: v.pipe(v.number(), v.maxValue(100_000)) }) }),
  );
  const prices = await master.register('prices', original<unknown>());

  const first = await prices.change([{ put: ['tea', { cents: 450 }] }]);
  if (first.kind !== 'committed') throw new Error(`not committed: ${first.reason}`);
  await Promise.all([byZod.reached(first.tip.version), byValibot.reached(first.tip.version)]);
  console.log(`committed: ${shown()}`);

  for (const price of [{ cents: -5 }, { cents: 250_000 }]) {
    // Both have to vote, however new they are in the group.
    const outcome = await prices.change([{ put: ['tea', price] }], { voters: 'all' });
    if (outcome.kind !== 'aborted') throw new Error(`nobody refused ${JSON.stringify(price)}`);
    for (const { node, reason } of outcome.refusals) console.log(`aborted, as ${node} refused: ${reason}`);
  }
  console.log(`still ${shown()}`);

  function shown(): string {
    return `${JSON.stringify(byZod.get('tea'))} at zod, ${JSON.stringify(byValibot.get('tea'))} at valibot`;
  }
}
