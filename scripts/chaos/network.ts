import { execFileSync, spawnSync } from 'node:child_process';

/** One network namespace: a machine of its own as far as sockets can tell. */
export interface Host {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  /** The bridge's end of its cable. */
  readonly port: string;
}

export type CutDirection = 'from' | 'to' | 'both';

/** What is wrong with the network now. */
export interface NetworkFaults {
  readonly lossPercent: number;
  readonly cuts: ReadonlyMap<Host, CutDirection>;
  /** Hosts whose IGMP reports are lost. */
  readonly silentIgmp: ReadonlySet<Host>;
  /** Hosts that no multicast gets to; unicast does. */
  readonly withoutMulticast: ReadonlySet<Host>;
}

export const noNetworkFaults: NetworkFaults = {
  lossPercent: 0,
  cuts: new Map(),
  silentIgmp: new Set(),
  withoutMulticast: new Set(),
};

/**
 * The tools that are missing here, in words; null when all is there. Namespaces need root, faults need nftables, and the
 * kernel has to let both be used (in many containers it doesn't).
 */
export function whatIsMissing(): string | null {
  if (process.getuid?.() !== 0) return 'it is run as root';
  for (const [tool, parameters, pack] of [
    ['ip', ['-V'], 'iproute2'],
    ['tc', ['-V'], 'iproute2'],
    ['bridge', ['-V'], 'iproute2'],
    ['nft', ['--version'], 'nftables'],
  ] as const) {
    if (spawnSync(tool, parameters).status !== 0) return `\`${tool}\` is installed (apt-get install ${pack})`;
  }
  const probe = `ls${process.pid}-probe`;
  if (spawnSync('ip', ['netns', 'add', probe]).status !== 0) return 'the kernel lets it make network namespaces';
  const rules = spawnSync('ip', ['netns', 'exec', probe, 'nft', 'add table bridge probe']);
  spawnSync('ip', ['netns', 'del', probe]);
  return rules.status === 0 ? null : 'the kernel lets it load nftables rules for bridges';
}

/**
 * Hosts joined by a bridge that lives in a namespace of its own: there is no way from it to this machine's networks. The
 * bridge snoops IGMP and is the querier, as a managed switch would be. All names carry this process's id.
 */
export class Network {
  readonly hosts: readonly Host[];
  readonly #switch = `ls${process.pid}-sw`;
  #isUp = false;

  constructor(names: readonly string[]) {
    this.hosts = names.map((name, index) => ({
      name,
      namespace: `ls${process.pid}-${name}`,
      address: `10.213.0.${index + 1}`,
      port: `p-${name}`,
    }));
  }

  raise(): void {
    this.#isUp = true;
    run('ip', 'netns', 'add', this.#switch);
    // Queries every 2 s, so that a host that was forgotten is back soon.
    const snooping =
      'mcast_snooping 1 mcast_querier 1 mcast_query_interval 200 mcast_membership_interval 600 mcast_startup_query_interval 50 mcast_query_response_interval 50';
    run('ip', '-n', this.#switch, 'link', 'add', 'br0', 'type', 'bridge', ...snooping.split(' '));
    run('ip', '-n', this.#switch, 'link', 'set', 'br0', 'up');
    for (const { namespace, port, address } of this.hosts) {
      run('ip', 'netns', 'add', namespace);
      run('ip', '-n', this.#switch, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
      run('ip', '-n', this.#switch, 'link', 'set', port, 'master', 'br0', 'up');
      run('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
      run('ip', '-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
      run('ip', '-n', namespace, 'link', 'set', 'eth0', 'up');
    }
  }

  /** The rules of the bridge become exactly these. */
  apply({ lossPercent, cuts, silentIgmp, withoutMulticast }: NetworkFaults): void {
    const early = [...silentIgmp].map(({ port }) => `iifname "${port}" ip protocol igmp drop`);
    const forward = [...cuts].flatMap(([{ port }, direction]) => [
      ...(direction === 'to' ? [] : [`iifname "${port}" drop`]),
      ...(direction === 'from' ? [] : [`oifname "${port}" drop`]),
    ]);
    for (const { port } of withoutMulticast) forward.push(`oifname "${port}" ip daddr 224.0.0.0/4 drop`);
    if (lossPercent > 0) forward.push(`numgen random mod 100 < ${lossPercent} drop`);
    const rules = `table bridge chaos
delete table bridge chaos
table bridge chaos {
  chain early {
    type filter hook prerouting priority -300
    ${early.join('\n    ')}
  }
  chain forward {
    type filter hook forward priority 0
    ${forward.join('\n    ')}
  }
}
`;
    execFileSync('ip', ['netns', 'exec', this.#switch, 'nft', '-f', '-'], {
      input: rules,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
  }

  /** What goes to this host gets no more than so much; null lifts it. */
  limit({ port }: Host, megabits: number | null): void {
    spawnSync('ip', ['netns', 'exec', this.#switch, 'tc', 'qdisc', 'del', 'dev', port, 'root']);
    if (megabits === null) return;
    const shape = `tbf rate ${megabits}mbit burst 32k latency 100ms`.split(' ');
    run('ip', 'netns', 'exec', this.#switch, 'tc', 'qdisc', 'add', 'dev', port, 'root', ...shape);
  }

  setLink({ namespace }: Host, state: 'up' | 'down'): void {
    run('ip', '-n', namespace, 'link', 'set', 'eth0', state);
  }

  /** The switch forgets that this host is in the group; with its IGMP lost, it stays so. */
  forgetMembership({ port }: Host, group: string): void {
    spawnSync('bridge', ['-n', this.#switch, 'mdb', 'del', 'dev', 'br0', 'port', port, 'grp', group]);
  }

  isMember({ port }: Host, group: string): boolean {
    const entries = execFileSync('bridge', ['-n', this.#switch, 'mdb', 'show'], { encoding: 'utf8' });
    return entries.split('\n').some((line) => line.includes(` port ${port} `) && line.includes(` grp ${group} `));
  }

  /** Takes everything away again; for every way out, so that it neither throws nor waits. */
  remove(): void {
    if (!this.#isUp) return;
    for (const namespace of [...this.hosts.map((host) => host.namespace), this.#switch])
      spawnSync('ip', ['netns', 'del', namespace]);
  }
}

function run(command: string, ...parameters: readonly string[]): void {
  execFileSync(command, parameters, { stdio: ['ignore', 'ignore', 'pipe'] });
}
