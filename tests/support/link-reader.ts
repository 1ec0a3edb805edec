import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** What somebody saw who went through the links all the time. Times are as `performance.now()` here. */
export interface Seen {
  /** By link: when it first showed the other text. */
  readonly switchedMs: readonly number[];
  /** Texts that were read, each once, in the order in which they were first seen; `MIXTURE`, when two files of one look differed. */
  readonly texts: readonly string[];
  readonly looks: number;
}

/** Goes through each link once per look, reads two files of it, and notes when what they hold has changed. */
const source = `
const { parentPort, workerData } = require('node:worker_threads');
const { readFileSync, realpathSync } = require('node:fs');
const { links, names, deadlineMs } = workerData;
const now = () => Number(process.hrtime.bigint()) / 1e6;
const look = (link) => {
  const folder = realpathSync(link);
  const [first, second] = names.map((name) => readFileSync(folder + '/' + name, 'utf8'));
  return first === second ? first : 'MIXTURE';
};
const before = links.map(look);
const switchedAt = links.map(() => 0);
const texts = new Set(before);
const nap = new Int32Array(new SharedArrayBuffer(4));
const endAt = now() + deadlineMs;
let looks = 0;
parentPort.postMessage('looking');
while (switchedAt.includes(0) && now() < endAt) {
  Atomics.wait(nap, 0, 0, 0.2);
  for (const [index, link] of links.entries()) {
    const text = look(link);
    looks += 1;
    texts.add(text);
    if (switchedAt[index] === 0 && text !== before[index]) switchedAt[index] = now();
  }
}
parentPort.postMessage({ switchedAt, texts: [...texts], looks });
`;

/** Looks in a thread of its own, until all links have switched; `seen` resolves then, or at the deadline. */
export async function readLinks(options: {
  readonly links: readonly string[];
  readonly names: readonly [string, string];
  readonly deadlineMs: number;
}): Promise<{ readonly seen: Promise<Seen> }> {
  // Both clocks are the machine's monotonic one.
  const hereMs = performance.now() - Number(process.hrtime.bigint()) / 1e6;
  const worker = new Worker(source, { eval: true, workerData: options });
  await once(worker, 'message');
  const seen = once(worker, 'message').then(([message]): Seen => {
    const { switchedAt, texts, looks } = message as { switchedAt: number[]; texts: string[]; looks: number };
    return { switchedMs: switchedAt.map((atMs) => (atMs === 0 ? Infinity : atMs + hereMs)), texts, looks };
  });
  return { seen };
}
