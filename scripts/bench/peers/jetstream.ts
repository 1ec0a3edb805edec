import { mkdirSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { jetstream as clientOf, jetstreamManager, StorageType, type JetStreamClient } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { timeEach } from '../serve.js';
import { rateOf, type Load, type Peer, type PeerGroup, type Storage } from './peer.js';
import { freePorts, Program, versionOf } from './program.js';
import { keyOf, valueOf } from '../values.js';

const servers = 3;
const stream = 'bench';

/** Three servers and a stream with three replicas: a publication is acknowledged by most of them. */
export const jetStream: Peer = {
  name: 'NATS JetStream R3',
  packageName: 'nats-server',
  storages: ['memory', 'disk'],
  version: () => versionOf('nats-server'),
  start: async (storage, folder) => {
    const clientPorts = await freePorts(servers);
    const routePorts = await freePorts(servers);
    const programs = clientPorts.map((port, index) => {
      const own = join(folder, String(port));
      mkdirSync(own, { recursive: true });
      const file = join(own, 'nats.conf');
      writeFileSync(file, configuration({ index, port, own, routePorts }));
      return new Program('nats-server', ['-c', file]);
    });
    try {
      for (const [index, program] of programs.entries()) await program.ready(() => accepts(clientPorts[index] ?? 0));
      const connection = await connect({ servers: clientPorts.map((port) => `127.0.0.1:${port}`) });
      await programs[0]?.ready(() => addStream(connection, storage));
      return new JetStreamGroup(connection, programs);
    } catch (error) {
      await Promise.all(programs.map((program) => program.end()));
      throw error;
    }
  },
};

function configuration(server: { index: number; port: number; own: string; routePorts: readonly number[] }): string {
  const routes = server.routePorts.map((port) => `nats://127.0.0.1:${port}`).join(', ');
  return `server_name: n${server.index}
listen: 127.0.0.1:${server.port}
jetstream { store_dir: "${server.own}", max_mem: 4GB, max_file: 8GB }
cluster { name: bench, listen: "127.0.0.1:${server.routePorts[server.index] ?? 0}", routes: [${routes}] }
`;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connectTcp(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } finally {
    socket.destroy();
  }
}

/** Fails until the servers have chosen a leader. */
async function addStream(connection: NatsConnection, storage: Storage): Promise<boolean> {
  const manager = await jetstreamManager(connection, { timeout: 2000 });
  await manager.streams.add({
    name: stream,
    subjects: [`${stream}.>`],
    num_replicas: servers,
    max_msgs_per_subject: 1,
    storage: storage === 'disk' ? StorageType.File : StorageType.Memory,
  });
  return true;
}

class JetStreamGroup implements PeerGroup {
  readonly #connection: NatsConnection;
  readonly #client: JetStreamClient;
  readonly #programs: readonly Program[];
  #turn = 0;

  constructor(connection: NatsConnection, programs: readonly Program[]) {
    this.#connection = connection;
    this.#client = clientOf(connection, { timeout: 10_000 });
    this.#programs = programs;
  }

  throughput(load: Load): Promise<number> {
    return rateOf(load, async () => {
      await Promise.all(Array.from({ length: load.batch }, () => this.#put()));
      return load.batch;
    });
  }

  latency(seconds: number): Promise<Awaited<ReturnType<typeof timeEach>>> {
    return timeEach(seconds, () => this.#put());
  }

  async end(): Promise<void> {
    await this.#connection.close();
    await Promise.all(this.#programs.map((program) => program.end()));
  }

  async #put(): Promise<void> {
    const turn = this.#turn;
    this.#turn += 1;
    await this.#client.publish(`${stream}.${keyOf(turn)}`, valueOf(turn));
  }
}
