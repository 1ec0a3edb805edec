import { runSeed } from './tests/integration/sim/run.js';
for (let seed = 121; seed <= 260; seed += 1) {
  const r = await runSeed(seed, {});
  if (r.stats.armed > 0 || !r.ok) console.log(seed, r.ok, r.failures.map((f) => `${f.guarantee} @${f.atMs} ${f.text}`).slice(0, 3), 'armed', r.stats.armed, 'ms', r.stats.virtualMs, r.faults.join(','));
}
console.log('done');
