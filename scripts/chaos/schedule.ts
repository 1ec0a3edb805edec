import type { MasterKeyValue } from '../../master/index.js';
import { tell } from './child.js';
import { sharedMs } from './words.js';

/** Changes that are to show at an instant, one after the other; what is armed holds up what comes behind it. */
const inMs = { least: 4000, most: 7000 };
/** Every so many is taken back before its instant. */
const cancelEvery = 5;
const pauseMs = 200;
/** Reading two clocks takes less. */
const readMs = 1;
const names = [
  'armed',
  'arming carried over',
  'activation cancelled',
  'activated',
  'activated late',
  'activated everywhere',
];

type Fields = Readonly<Record<string, unknown>>;

export class Schedule {
  #isResting = false;
  #count = 0;

  constructor(readonly data: MasterKeyValue<string>) {}

  static tellsOf(name: string): boolean {
    return names.includes(name);
  }

  /** No more of them; one that is armed still comes. */
  rest(): void {
    this.#isResting = true;
  }

  async run(): Promise<void> {
    await this.data.dataSet.leading();
    while (!this.#isResting) {
      this.#count += 1;
      tell({ kind: 'scheduled', how: await this.#one(this.#count) });
      do await new Promise((resolve) => setTimeout(resolve, pauseMs));
      while (this.data.dataSet.armed !== null);
    }
  }

  async #one(count: number): Promise<string> {
    const { dataSet } = this.data;
    const voters = 1 + Math.floor(dataSet.members().length / 2);
    const aheadMs = inMs.least + ((count * 997) % (inMs.most - inMs.least));
    try {
      const outcome = await this.data.change([{ put: ['price', `${process.pid}.${count}`] }], {
        activateAt: { inMs: aheadMs },
        voters,
      });
      if (outcome.kind !== 'armed') return 'reason' in outcome ? `${outcome.kind}: ${outcome.reason}` : outcome.kind;
      if (count % cancelEvery !== 0) return 'armed';
      const { kind } = await dataSet.cancelActivation(outcome.tip.version);
      return `armed, and taken back: ${kind}`;
    } catch (error) {
      return `refused: ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`;
    }
  }

  /** In the midst of a step: the core's account is of before it until that has ended. */
  onEvent(name: string, fields: Fields): void {
    const version = Number(fields['version']);
    if (name === 'activation cancelled') tell({ kind: 'disarmed', version });
    else if (name === 'armed' || name === 'arming carried over') setImmediate(() => this.#tellInstant());
    else if (name === 'activated' || name === 'activated late')
      tell({ kind: 'activated', lateMs: Number(fields['lateMs']) });
    else if (typeof fields['spreadMs'] === 'number')
      tell({ kind: 'activated everywhere', spreadMs: fields['spreadMs'], boundMs: Number(fields['boundMs']) });
  }

  /** Both clocks are read in one go: a process that is stopped in between asks again. */
  #tellInstant(): void {
    const beforeMs = sharedMs();
    const { armed } = this.data.dataSet;
    const afterMs = sharedMs();
    if (afterMs - beforeMs > readMs) setImmediate(() => this.#tellInstant());
    else if (armed !== null) tell({ kind: 'armed', version: armed.version, atMs: afterMs + armed.inMs });
  }
}
