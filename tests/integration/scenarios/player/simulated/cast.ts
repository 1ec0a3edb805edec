import type { Json, Operation } from '../../../../../shared/protocol/key-value/operations.js';
import { keyValue as masterKeyValue } from '../../../../../master/user/key-value.js';
import type { MasterKeyValue } from '../../../../../master/user/key-value-types.js';
import type { MasterUserLayer } from '../../../../../master/user/contract.js';
import type { DataSetDefaults, MasterDataSet } from '../../../../../master/types.js';
import { keyValue as slaveKeyValue } from '../../../../../slave/user/key-value.js';
import type { SlaveKeyValue } from '../../../../../slave/user/key-value-types.js';
import type { PrepareAnswer, SlaveUserLayer } from '../../../../../slave/user/contract.js';
import type { SlaveDataSet } from '../../../../../slave/types.js';
import { CounterMaster, CounterSlave } from '../../../sim/counter-layer.js';
import { stateFrom, unpackChange } from '../../../sim/counter-state.js';
import type { LayerContext } from '../../../sim/sim-node.js';
import type { Veto } from '../scenario.js';
import { refusalOf } from '../vetoes.js';
import type { Script } from './script.js';
import { scriptedMaster, scriptedSlave } from './script.js';

/** The user layers of a scenario, by node; a new one for each process of it. */
export class Cast {
  readonly #data: 'key-value' | 'counter';
  readonly #defaults: DataSetDefaults;
  readonly #script: Script;
  readonly #counters = new Map<string, CounterMaster>();
  readonly #originals = new Map<string, (dataSet: MasterDataSet) => MasterKeyValue<Json>>();
  readonly #copies = new Map<string, (dataSet: SlaveDataSet) => SlaveKeyValue<Json>>();
  #vetoes: readonly Veto[] = [];

  constructor(parts: {
    readonly data: 'key-value' | 'counter';
    readonly defaults: DataSetDefaults;
    readonly script: Script;
  }) {
    this.#data = parts.data;
    this.#defaults = parts.defaults;
    this.#script = parts.script;
  }

  veto(veto: Veto): void {
    this.#vetoes = [...this.#vetoes, veto];
  }

  accept(node: string): void {
    this.#vetoes = this.#vetoes.filter((veto) => veto.node !== node);
  }

  master(context: LayerContext): MasterUserLayer {
    const { node, dataSet, store, clock, durability } = context;
    const actor = { node, clock, script: this.#script };
    if (this.#data === 'counter') {
      const layer = new CounterMaster({ dataSet, store, storing: 'own', maxOpenRounds: 1 });
      this.#counters.set(node, layer);
      return scriptedMaster(layer, actor);
    }
    const parts = masterKeyValue<Json>().create({
      dataSet,
      durability,
      store,
      clock,
      defaults: this.#defaults,
    });
    this.#originals.set(
      node,
      once((handled) => parts.handle(handled)),
    );
    return scriptedMaster(parts.layer, actor);
  }

  slave(context: LayerContext, as = context.node): SlaveUserLayer {
    const { dataSet, store, clock, random, durability } = context;
    const actor = { node: as, clock, script: this.#script };
    if (this.#data === 'counter') {
      const layer = new CounterSlave({ node: as, dataSet, store, clock, random, storing: 'own', slowness: null });
      return scriptedSlave(this.#vetoing(layer, as), actor);
    }
    const validate = (operation: Operation<Json>): true | string => refusalOf(this.#vetoesOf(as), operation) ?? true;
    const parts = slaveKeyValue<Json>({ validate }).create({ node: as, dataSet, durability, store });
    this.#copies.set(
      as,
      once((handled) => parts.handle(handled)),
    );
    return scriptedSlave(parts.layer, actor);
  }

  counter(node: string): CounterMaster | null {
    return this.#counters.get(node) ?? null;
  }

  original(node: string, dataSet: MasterDataSet): MasterKeyValue<Json> | null {
    return this.#originals.get(node)?.(dataSet) ?? null;
  }

  copy(node: string, dataSet: SlaveDataSet): SlaveKeyValue<Json> | null {
    return this.#copies.get(node)?.(dataSet) ?? null;
  }

  #vetoesOf(node: string): readonly Veto[] {
    return this.#vetoes.filter((veto) => veto.node === node);
  }

  /** A counter's change as the vetoes see it: an operation whose value is what is added. */
  #vetoing(layer: CounterSlave, node: string): SlaveUserLayer {
    return {
      open: () => layer.open(),
      prepare: (change): PrepareAnswer | Promise<PrepareAnswer> => {
        const unpacked = unpackChange(change.bytes);
        const added = unpacked.kind === 'operations' ? unpacked.operations : [];
        for (const [index, { id, add }] of added.entries()) {
          const reason = refusalOf(this.#vetoesOf(node), { put: [id, add] });
          if (reason !== null) return { ok: false, reason, refused: [index] };
        }
        return layer.prepare(change);
      },
      commit: (change) => layer.commit(change),
      abort: () => {
        layer.abort();
      },
      install: (to, chunks) => layer.install(to, chunks),
      snapshot: (at) => layer.snapshot(at),
      stateDigest: () => layer.stateDigest(),
    };
  }
}

function once<Input, Result>(make: (input: Input) => Result): (input: Input) => Result {
  let made: { readonly result: Result } | null = null;
  return (input) => {
    made ??= { result: make(input) };
    return made.result;
  };
}

export async function totalIn(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  return (await stateFrom(chunks)).total;
}
