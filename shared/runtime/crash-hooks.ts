import { invariant } from '../protocol/kernel/invariant.js';
import type { StoreOperation } from '../protocol/kernel/store.js';
import { applyOperations } from '../protocol/kernel/store.js';
import type { MessageKind } from '../protocol/wire/messages.js';
import type { PathEvent, PathView } from '../protocol/stream/paths.js';
import type { CrashPoint, CrashRole } from './crash-points.js';
import type { OutgoingPacket, PacketEndpoint } from './node.js';
import type { Store } from './ports.js';

/**
 * The places where effects reach the world, each with a hook before and after it. Without an armed point they are what
 * they were: nothing is wrapped, nothing is asked.
 */

export function endpointUnderTest(endpoint: PacketEndpoint, point: CrashPoint | undefined): PacketEndpoint {
  return point === undefined ? endpoint : new CrashingEndpoint(endpoint, point);
}

class CrashingEndpoint implements PacketEndpoint {
  readonly #endpoint: PacketEndpoint;
  readonly #point: CrashPoint;
  readonly #leaving = new Set<MessageKind>();

  constructor(endpoint: PacketEndpoint, point: CrashPoint) {
    this.#endpoint = endpoint;
    this.#point = point;
  }

  get counters(): object {
    return this.#endpoint.counters;
  }

  get paths(): PathView {
    return this.#endpoint.paths ?? { mode: 'multicast', unreached: [], unheard: [] };
  }

  takeEvents(): readonly PathEvent[] {
    return this.#endpoint.takeEvents?.() ?? [];
  }

  send(packet: OutgoingPacket, nowMs: number): void {
    this.#point.reached('before', 'send', packet.message.kind);
    this.#leaving.add(packet.message.kind);
    this.#endpoint.send(packet, nowMs);
  }

  takeDatagrams(nowMs: number): ReturnType<PacketEndpoint['takeDatagrams']> {
    return this.#endpoint.takeDatagrams(nowMs);
  }

  /** The system has what the pace let go. */
  datagramsLeft(nowMs: number): void {
    const left = [...this.#leaving];
    this.#leaving.clear();
    for (const kind of left) this.#point.reached('after', 'send', kind);
    this.#endpoint.datagramsLeft?.(nowMs);
  }

  receive(...parameters: Parameters<PacketEndpoint['receive']>): ReturnType<PacketEndpoint['receive']> {
    return this.#endpoint.receive(...parameters);
  }

  tick(nowMs: number): void {
    this.#endpoint.tick(nowMs);
  }

  nextWakeMs(): number {
    return this.#endpoint.nextWakeMs();
  }

  addressOf(peer: Parameters<PacketEndpoint['addressOf']>[0]): ReturnType<PacketEndpoint['addressOf']> {
    return this.#endpoint.addressOf(peer);
  }
}

export function storeUnderTest(store: Store, point: CrashPoint | undefined): Store {
  if (point === undefined) return store;
  return {
    get: (key) => store.get(key),
    range: (prefix) => store.range(prefix),
    close: () => store.close(),
    write: (change, options, done) => {
      const operations: StoreOperation[] = [];
      change({
        put: (key, value) => operations.push({ kind: 'put', key, value }),
        remove: (key) => operations.push({ kind: 'remove', key }),
      });
      const kind = options.durable ? writeKindOf(point.role, operations) : null;
      if (kind !== null) point.reached('before', 'write', kind);
      store.write(
        (transaction) => {
          applyOperations(transaction, operations);
        },
        options,
        (error) => {
          if (kind !== null && error === null) point.reached('after', 'write', kind);
          done(error);
        },
      );
    },
  };
}

/** What a transaction is about, by the keys in it. The first rule that fits names it. */
const writeRules: Readonly<
  Record<CrashRole, readonly { readonly kind: string; readonly fits: (operation: StoreOperation) => boolean }[]>
> = {
  master: [
    { kind: 'epoch', fits: ({ key }) => key[3] === 'reign' },
    { kind: 'decision', fits: ({ kind, key }) => kind === 'put' && key[3] === 'history' },
    { kind: 'arming', fits: ({ key }) => key[3] === 'armed' },
    { kind: 'member', fits: ({ key }) => key[3] === 'member' },
    { kind: 'adoption', fits: ({ kind, key }) => kind === 'put' && key[3] === 'adopting' },
    { kind: 'copy', fits: ({ key }) => key[0] === 'data' },
  ],
  slave: [
    { kind: 'copy', fits: ({ key }) => key[0] === 'data' },
    { kind: 'promise', fits: ({ key }) => key[3] === 'record' },
    { kind: 'armed', fits: (operation) => operation.key[3] === 'prepared' && hasMark(operation) },
    { kind: 'prepared', fits: ({ kind, key }) => kind === 'put' && key[3] === 'prepared' },
    { kind: 'resolved', fits: ({ key }) => key[3] === 'resolved' },
    { kind: 'release', fits: ({ kind, key }) => kind === 'remove' && key[3] === 'prepared' },
  ],
};

function hasMark(operation: StoreOperation): boolean {
  if (operation.kind !== 'put') return false;
  return ((operation.value as { readonly mark?: unknown }).mark ?? null) !== null;
}

function writeKindOf(role: CrashRole, operations: readonly StoreOperation[]): string | null {
  if (operations.length === 0) return null;
  const rule = writeRules[role].find(({ fits }) => operations.some(fits));
  invariant(rule !== undefined, `a durable write of the ${role} has no name: ${JSON.stringify(operations[0]?.key)}`);
  return rule.kind;
}

/** Each method of the user layer, and of its `shared` part, between two hooks; a promise's second one is at its end. */
export function layerUnderTest<Layer extends object>(layer: Layer, point: CrashPoint | undefined): Layer {
  if (point === undefined) return layer;
  return new Proxy(layer, {
    get: (target, property) => {
      const member: unknown = Reflect.get(target, property, target);
      if (typeof member === 'object' && member !== null) return layerUnderTest(member, point);
      if (typeof member !== 'function' || typeof property !== 'string') return member;
      return (...parameters: unknown[]): unknown => {
        point.reached('before', 'callback', property);
        const result: unknown = Reflect.apply(member, target, parameters);
        if (result instanceof Promise) {
          return result.then((value: unknown) => {
            point.reached('after', 'callback', property);
            return value;
          });
        }
        point.reached('after', 'callback', property);
        return result;
      };
    },
  });
}
