import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { timeEach } from '../serve.js';
import { rateOf, type Load, type Peer, type PeerGroup } from './peer.js';
import { freePorts, Program, versionOf } from './program.js';
import { keyOf, valueOf } from '../values.js';

const members = 3;

/** Three members; a transaction is acknowledged when most of them have it on disk. */
export const etcd: Peer = {
  name: 'etcd',
  packageName: 'etcd-server',
  storages: ['disk'],
  version: () => versionOf('etcd'),
  start: async (_storage, folder) => {
    const clientPorts = await freePorts(members);
    const peerPorts = await freePorts(members);
    const url = (port: number | undefined): string => `http://127.0.0.1:${port ?? 0}`;
    const cluster = peerPorts.map((port, index) => `m${index}=${url(port)}`).join(',');
    const programs = clientPorts.map((port, index) => {
      const own = ['--name', `m${index}`, '--data-dir', join(folder, `m${index}`)];
      const client = ['--listen-client-urls', url(port), '--advertise-client-urls', url(port)];
      const peer = [
        '--listen-peer-urls',
        url(peerPorts[index]),
        '--initial-advertise-peer-urls',
        url(peerPorts[index]),
      ];
      const group = [
        '--initial-cluster',
        cluster,
        '--initial-cluster-token',
        `bench-${clientPorts[0] ?? 0}`,
        '--log-level',
        'error',
      ];
      return new Program('etcd', [...own, ...client, ...peer, ...group]);
    });
    const client = new Etcd3({ hosts: clientPorts.map(url) });
    try {
      await programs[0]?.ready(async () => {
        await client.put('ready').value('yes');
        return true;
      });
      return new EtcdGroup(client, programs);
    } catch (error) {
      client.close();
      await Promise.all(programs.map((program) => program.end()));
      throw error;
    }
  },
};

class EtcdGroup implements PeerGroup {
  readonly #client: Etcd3;
  readonly #programs: readonly Program[];
  #turn = 0;

  constructor(client: Etcd3, programs: readonly Program[]) {
    this.#client = client;
    this.#programs = programs;
  }

  throughput(load: Load): Promise<number> {
    return rateOf(load, async () => {
      await this.#put(load.batch);
      return load.batch;
    });
  }

  latency(seconds: number): Promise<Awaited<ReturnType<typeof timeEach>>> {
    return timeEach(seconds, () => this.#put(1));
  }

  async end(): Promise<void> {
    this.#client.close();
    await Promise.all(this.#programs.map((program) => program.end()));
  }

  async #put(count: number): Promise<void> {
    const first = this.#turn;
    this.#turn += count;
    const puts = Array.from({ length: count }, (_, index) => ({
      request_put: { key: Buffer.from(keyOf(first + index)), value: Buffer.from(valueOf(first + index)) },
    }));
    await this.#client.kv.txn({ compare: [], success: puts, failure: [] });
  }
}
