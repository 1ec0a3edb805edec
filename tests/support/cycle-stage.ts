import { ModelCopy, ModelDataServer, TrueTime } from './cycle-world.js';

const hourMs = 3_600_000;

export interface World {
  readonly time: TrueTime;
  readonly server: ModelDataServer;
}

/** A first activation in 5 s, and then one a minute; the data server's clock is where nobody expects it. */
export function world(options: { readonly firstInMs?: number; readonly intervalMs?: number } = {}): World {
  const time = new TrueTime();
  const crystal = { offsetMs: 1_800_000_000_000 + 7 * hourMs, rate: 0 };
  const { firstInMs = 5000, intervalMs = 60_000 } = options;
  return { time, server: new ModelDataServer(time, crystal, { firstInMs, intervalMs }) };
}

/** Cycle 1 is what production holds now; it is active after the first instant. */
export function stageNow({ server }: World): void {
  server.contents.set(server.staged, new Map(server.production));
}

export function copyIn(
  { time, server }: World,
  name: string,
  options: ConstructorParameters<typeof ModelCopy>[3] = {},
): ModelCopy {
  const copy = new ModelCopy(name, time, server, options);
  copy.start();
  return copy;
}

/** True milliseconds from the prearranged instant to when readers saw the cycle; undefined: they didn't. */
export function skewMs(copy: ModelCopy, cycle: number, instantTrueMs: number): number | undefined {
  const shown = copy.shown.find((each) => each.cycle === cycle);
  return shown === undefined ? undefined : shown.atMs - instantTrueMs;
}
