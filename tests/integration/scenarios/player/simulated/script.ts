import type { Tip } from '../../../../../shared/protocol/kernel/ids.js';
import type { Clock } from '../../../../../shared/runtime/ports.js';
import type { MasterUserLayer } from '../../../../../master/user/contract.js';
import type { SlaveUserLayer } from '../../../../../slave/user/contract.js';
import type { CallbackName, Misbehaviour } from '../scenario.js';

/** Which callbacks of which nodes are to misbehave from now on, and how often. Outlives the nodes' processes. */
export class Script {
  #entries: { readonly misbehaviour: Misbehaviour; left: number }[] = [];

  add(misbehaviour: Misbehaviour): void {
    this.#entries = [...this.#entries, { misbehaviour, left: misbehaviour.times }];
  }

  take(node: string, callback: CallbackName): Misbehaviour | null {
    const entry = this.#entries.find(
      ({ misbehaviour, left }) => misbehaviour.node === node && misbehaviour.callback === callback && left > 0,
    );
    if (entry === undefined) return null;
    entry.left -= 1;
    return entry.misbehaviour;
  }
}

interface Actor {
  readonly node: string;
  readonly script: Script;
  readonly clock: Clock;
}

/** One call: as it should be, or as the script has it. What it then returns is only said to be of the type. */
function acted<Result>(
  { node, script, clock }: Actor,
  callback: CallbackName,
  call: () => Result,
  lie: () => unknown = () => undefined,
): Result {
  const misbehaviour = script.take(node, callback);
  switch (misbehaviour?.how) {
    case undefined:
      return call();
    case 'throw':
      throw new Error(`${callback} fails, as the scenario has it`);
    case 'hang': {
      const { forMs } = misbehaviour;
      const hanging = new Promise<Result>((resolve, reject) => {
        if (forMs === null) return;
        clock.at(clock.monotonicMs() + forMs, () => {
          Promise.resolve().then(call).then(resolve, reject);
        });
      });
      return hanging as Result;
    }
    case 'nothing':
      return undefined as Result;
    case 'lie':
      return lie() as Result;
  }
}

/** A version that no state can have. */
function impossible(tip: Tip | null): unknown {
  return { ...tip, version: -1 };
}

export function scriptedSlave(layer: SlaveUserLayer, actor: Actor): SlaveUserLayer {
  return {
    open: () =>
      acted(
        actor,
        'open',
        () => layer.open(),
        () => impossible(null),
      ),
    prepare: (change, signal) => acted(actor, 'prepare', () => layer.prepare(change, signal)),
    commit: (change) => acted(actor, 'commit', () => layer.commit(change)),
    abort: (to, why) => acted(actor, 'abort', () => layer.abort(to, why)),
    install: (to, chunks) => acted(actor, 'install', () => layer.install(to, chunks)),
    ...(layer.snapshot === undefined ? {} : { snapshot: layer.snapshot.bind(layer) }),
    ...(layer.stateDigest === undefined ? {} : { stateDigest: layer.stateDigest.bind(layer) }),
    ...(layer.shared === undefined ? {} : { shared: layer.shared }),
  };
}

export function scriptedMaster(layer: MasterUserLayer, actor: Actor): MasterUserLayer {
  return {
    open: () =>
      acted(
        actor,
        'open',
        () => layer.open(),
        () => impossible(null),
      ),
    recover: (tip, missing) => layer.recover(tip, missing),
    delta: (from, to) => acted(actor, 'delta', () => layer.delta(from, to)),
    snapshot: (at) => layer.snapshot(at),
    restore: (to, dropped) => acted(actor, 'restore', () => layer.restore(to, dropped)),
    ...(layer.maxOpenRounds === undefined ? {} : { maxOpenRounds: layer.maxOpenRounds }),
    ...(layer.stateDigest === undefined ? {} : { stateDigest: layer.stateDigest.bind(layer) }),
    ...(layer.install === undefined ? {} : { install: layer.install.bind(layer) }),
    ...(layer.committed === undefined
      ? {}
      : { committed: (change) => acted(actor, 'committed', () => layer.committed?.(change)) }),
    ...(layer.shared === undefined ? {} : { shared: layer.shared }),
  };
}
