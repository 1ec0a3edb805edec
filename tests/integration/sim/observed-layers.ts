import type { Delta, Digest, Tip } from '../../../shared/protocol/kernel/ids.js';
import type { MasterUserLayer } from '../../../master/user/contract.js';
import type { PrepareAnswer, SlaveUserLayer } from '../../../slave/user/contract.js';
import type { Observation } from './observation.js';

export interface LayerObserver {
  readonly node: string;
  readonly alive: () => boolean;
  readonly observe: (observation: Observation) => void;
}

function isPromise<Value>(value: Value | PromiseLike<Value>): value is PromiseLike<Value> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** Passes a call's result on as it came, at once or later, and tells of it first. */
function told<Value>(result: Value | Promise<Value>, tell: (value: Value) => void): Value | Promise<Value> {
  if (!isPromise(result)) {
    tell(result);
    return result;
  }
  return result.then((value) => {
    tell(value);
    return value;
  });
}

/** The layer, and an account of every call to it. What it doesn't implement stays away. */
export function observeSlaveLayer(layer: SlaveUserLayer, { node, alive, observe }: LayerObserver): SlaveUserLayer {
  const digest = (): Digest | null => layer.stateDigest?.() ?? null;
  const called = (call: 'prepare' | 'commit' | 'abort' | 'install', from: Tip | null, to: Tip): void => {
    if (alive()) observe({ kind: 'called', node, call, from, to });
  };
  const exposed = (how: 'open' | 'commit' | 'install', from: Tip | null, tip: Tip | null): void => {
    if (alive()) observe({ kind: 'exposed', node, how, from, tip, digest: digest() });
  };
  const { shared } = layer;
  const snapshot = layer.snapshot?.bind(layer);
  const stateDigest = layer.stateDigest?.bind(layer);
  return {
    open: () =>
      told(layer.open(), (tip) => {
        exposed('open', null, tip);
      }),
    prepare: (change, signal): PrepareAnswer | Promise<PrepareAnswer> => {
      called('prepare', change.from, change.to);
      return told(layer.prepare(change, signal), (answer) => {
        if (alive()) observe({ kind: 'voted', node, to: change.to, yes: answer.ok });
      });
    },
    commit: (change) => {
      called('commit', change.from, change.to);
      return told<unknown>(layer.commit(change), () => {
        exposed('commit', change.from, change.to);
      }) as void | Promise<void>;
    },
    abort: (to, why) => {
      called('abort', null, to);
      return layer.abort(to, why);
    },
    install: async (to, chunks) => {
      called('install', null, to);
      await layer.install(to, chunks);
      exposed('install', null, to);
    },
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(stateDigest === undefined ? {} : { stateDigest }),
    ...(shared === undefined
      ? {}
      : {
          shared: {
            write: (change: Delta, transaction): void => {
              called('commit', change.from, change.to);
              shared.write(change, transaction);
            },
            expose: (change: Delta): void => {
              shared.expose(change);
              exposed('commit', change.from, change.to);
            },
          } satisfies SlaveUserLayer['shared'],
        }),
  };
}

export function observeMasterLayer(layer: MasterUserLayer, { node, alive, observe }: LayerObserver): MasterUserLayer {
  const decided = (change: Delta): void => {
    if (alive()) observe({ kind: 'decided', node, change, digest: layer.stateDigest?.() ?? null });
  };
  const { shared, maxOpenRounds } = layer;
  const committed = layer.committed?.bind(layer);
  const install = layer.install?.bind(layer);
  const stateDigest = layer.stateDigest?.bind(layer);
  return {
    open: () => layer.open(),
    recover: (tip, missing) => layer.recover(tip, missing),
    delta: (from, to) => layer.delta(from, to),
    snapshot: (at) => layer.snapshot(at),
    restore: (to, dropped) => layer.restore(to, dropped),
    ...(maxOpenRounds === undefined ? {} : { maxOpenRounds }),
    ...(stateDigest === undefined ? {} : { stateDigest }),
    ...(install === undefined ? {} : { install }),
    ...(committed === undefined
      ? {}
      : {
          committed: (change: Delta): void | Promise<void> =>
            told<unknown>(committed(change), () => {
              decided(change);
            }) as void | Promise<void>,
        }),
    ...(shared === undefined
      ? {}
      : {
          shared: {
            write: (change: Delta, transaction): void => {
              shared.write(change, transaction);
            },
            expose: (change: Delta): void => {
              shared.expose(change);
              decided(change);
            },
          } satisfies MasterUserLayer['shared'],
        }),
  };
}
