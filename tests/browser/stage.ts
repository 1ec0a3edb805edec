import type { FastifyInstance } from 'fastify';
import type {
  MasterDataSetBody,
  MemberBody,
  PastRoundBody,
  RoundBody,
  RoundVoteBody,
} from '../../shared/http/bodies.js';
import { createServer, listen, type ServerOptions } from '../../shared/http/server.js';
import { addDashboard } from '../../master/http/dashboard.js';
import { addLiveRoute } from '../../master/http/live-route.js';
import { RecordingLog } from '../integration/process/http-fakes.js';

/** A data set as a master would describe it: made up, and changed at will. */
export class StagedDataSet {
  readonly name: string;
  version: number;
  phase = 'leading';
  mayCommit = true;
  entries = 4321;
  openRounds: RoundBody[] = [];
  armed: MasterDataSetBody['armed'] = null;
  activation: MasterDataSetBody['activation'] = null;
  readonly members = new Map<string, MemberBody>();
  rounds: PastRoundBody[] = [];

  constructor(name: string, version: number, nodes: readonly string[]) {
    this.name = name;
    this.version = version;
    for (const [index, node] of nodes.entries()) this.members.set(node, this.#member(node, index));
  }

  body(): MasterDataSetBody {
    return {
      dataSet: this.name,
      phase: this.phase,
      epoch: 3,
      tip: tipAt(this.version),
      mayCommit: this.mayCommit,
      entries: this.entries,
      stateDigest: null,
      queued: 0,
      openRounds: this.openRounds,
      armed: this.armed,
      activation: this.activation,
      historyBytes: 48_213,
      members: [...this.members.values()],
    };
  }

  change(node: string, changes: Partial<MemberBody>): void {
    const member = this.members.get(node);
    if (member === undefined) throw new Error(`no member ${node} on this stage`);
    this.members.set(node, { ...member, ...changes });
  }

  /** Everybody votes yes, and shows the next version at once; but for those named. */
  commit(options: { readonly agoMs?: number; readonly without?: readonly string[] } = {}): void {
    this.version += 1;
    for (const node of this.members.keys()) {
      if (options.without?.includes(node) === true) continue;
      this.change(node, {
        tip: tipAt(this.version),
        behind: 0,
        behindMs: 0,
        lastVote: { version: this.version, yes: true, reason: '' },
      });
    }
    this.rounds.unshift(this.round({ ...options, version: this.version }));
  }

  /** A round in which all vote yes but those who refuse. */
  round(options: {
    readonly version: number;
    readonly agoMs?: number;
    readonly refusals?: Readonly<Record<string, string>>;
    readonly without?: readonly string[];
  }): PastRoundBody {
    const { version, agoMs = 0, refusals = {}, without = [] } = options;
    const voters = [...this.members.keys()].filter((node) => !without.includes(node));
    const votes = voters.map((node, index): RoundVoteBody => {
      const reason = refusals[node] ?? '';
      return { node, yes: reason === '', reason, afterMs: voteMs(index, version) };
    });
    votes.sort((one, other) => one.afterMs - other.afterMs);
    const isRefused = Object.keys(refusals).length > 0;
    const decidedMs = (votes.at(-1)?.afterMs ?? 0) + 1.2;
    return {
      round: `3.1f0c9a77.${version}`,
      version,
      phases: 'two',
      startedAt: new Date(Date.now() - agoMs).toISOString(),
      outcome: isRefused ? 'aborted' : 'committed',
      reason: isRefused ? 'refused' : null,
      decidedMs,
      exposedMs: isRefused ? null : decidedMs + 2.4,
      operations: 1 + (version % 4),
      bytes: 90 + ((version * 37) % 400),
      votes,
      missing: [],
      activation: null,
    };
  }

  #member(node: string, index: number): MemberBody {
    return {
      node,
      live: true,
      state: 'current',
      tip: tipAt(this.version),
      behind: 0,
      behindMs: 0,
      heardMsAgo: 120,
      lastVote: this.version === 0 ? null : { version: this.version, yes: true, reason: '' },
      lastVeto: null,
      inDoubt: 0,
      oldestInDoubtMs: null,
      roundTripMs: 0.3 + (index % 7) / 10,
      repairs: 0,
      snapshots: 1,
      resyncs: { new: 1 },
    };
  }
}

export function tipAt(version: number): { epoch: number; version: number; chainId: string } {
  return { epoch: 3, version, chainId: version.toString(16).padStart(32, '0') };
}

/** The master's side of a dashboard, over real HTTP: its routes are the product's own, the group behind them is made up. */
export class Stage implements AsyncDisposable {
  readonly dataSets: readonly StagedDataSet[];
  readonly #node: string;
  readonly #options: ServerOptions;
  #server: FastifyInstance | null = null;
  #port = 0;
  url = '';

  private constructor(dataSets: readonly StagedDataSet[], node: string, options: ServerOptions) {
    this.dataSets = dataSets;
    this.#node = node;
    this.#options = options;
  }

  static async start(
    dataSets: readonly StagedDataSet[],
    options: ServerOptions & { readonly node?: string } = {},
  ): Promise<Stage> {
    const stage = new Stage(dataSets, options.node ?? 'master', options);
    await stage.open();
    return stage;
  }

  /** Also after `close`, and then at the same address. */
  async open(): Promise<void> {
    const server = createServer(new RecordingLog(), this.#options);
    addLiveRoute(server, {
      node: this.#node,
      read: () =>
        this.dataSets.map((dataSet) => ({ body: dataSet.body(), rounds: (limit) => dataSet.rounds.slice(0, limit) })),
    });
    addDashboard(server);
    server.get<{ Params: { dataSet: string } }>('/v1/rounds/:dataSet', async ({ params }, reply) => {
      const found = this.dataSets.find(({ name }) => name === params.dataSet);
      return reply.send({ dataSet: params.dataSet, rounds: found?.rounds ?? [] });
    });
    this.url = await listen(server, { host: '127.0.0.1', port: this.#port });
    this.#port = Number(new URL(this.url).port);
    this.#server = server;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    const closed = server?.close();
    server?.server.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Different for each, and the same at each run. */
function voteMs(index: number, version: number): number {
  return 1.5 + ((index * 7919 + version * 104_729) % 97) / 12;
}
