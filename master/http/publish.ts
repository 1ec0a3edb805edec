import type { FastifyInstance } from 'fastify';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import { versionOf } from '../../shared/protocol/kernel/ids.js';
import type { TreeDifference } from '../../shared/protocol/directory/tree.js';
import type { FilesBody, PublishBody } from '../../shared/http/bodies.js';
import { parsePublish } from '../../shared/http/input.js';
import { sendProblem, type Parsed } from '../../shared/http/problem.js';
import { dataSetFinder } from '../../shared/http/reads.js';
import type { MasterDirectory } from '../user/directory-types.js';
import { outcomeBody, statusOfOutcome, whyNoChange, type MasterApi, type ServedOriginal } from './api.js';

/** How many paths of a kind an answer names: enough to see what happened, few enough for any client. */
const shownPaths = 1000;

export type ServedDirectory = Pick<MasterDirectory, 'tip' | 'size' | 'stateDigest' | 'publish' | 'difference'> & {
  readonly dataSet: ServedOriginal['dataSet'];
};

/** `/v1/publish/{dataSet}`: what a publish would change, and the publish itself. */
export function addPublishRoutes(
  server: FastifyInstance,
  api: MasterApi,
  directories: ReadonlyMap<string, ServedDirectory>,
): void {
  const findAny = dataSetFinder(api.dataSets);
  const find = (name: string): Parsed<ServedDirectory> => {
    const found = directories.get(name);
    if (found !== undefined) return { ok: true, value: found };
    const other = findAny(name);
    if (!other.ok) return other;
    const message = `${name} holds keys and values, and no folder to publish; change it with lockstep put, delete or load`;
    return { ok: false, problem: { status: 409, code: 'wrong-kind', message, field: 'dataSet' } };
  };
  server.get<{ Params: { dataSet: string } }>('/v1/publish/:dataSet', async (request, reply) => {
    const folder = find(request.params.dataSet);
    if (!folder.ok) return sendProblem(reply, folder.problem);
    return reply.send(filesBody(await folder.value.difference()));
  });
  server.post<{ Params: { dataSet: string } }>('/v1/publish/:dataSet', async (request, reply) => {
    const folder = find(request.params.dataSet);
    if (!folder.ok) return sendProblem(reply, folder.problem);
    const options = parsePublish(request.body);
    if (!options.ok) return sendProblem(reply, options.problem);
    const reason = whyNoChange(api, request.params.dataSet, folder.value);
    if (reason !== null) return sendProblem(reply, reason);
    const outcome = await folder.value.publish(options.value);
    if (outcome.kind === 'unchanged') {
      const body: PublishBody = { outcome: 'unchanged', version: versionOf(outcome.tip) };
      return reply.send(body);
    }
    const body: PublishBody = { ...outcomeBody(outcome), files: filesBody(outcome.files) };
    return reply.code(statusOfOutcome[outcome.kind]).send(body);
  });
}

/** A directory among the data sets of the API: it has a status and members, and no keys. */
export function servedDirectory(name: string, directory: ServedDirectory): ServedOriginal {
  const noKeys = (): never => {
    throw new LockstepError(
      'wrong-kind',
      `${name} is a directory and holds no keys; change its folder, then publish it with lockstep publish`,
    );
  };
  const { dataSet } = directory;
  return {
    dataSet: {
      view: () => dataSet.view(),
      members: () => dataSet.members(),
      forget: (node) => dataSet.forget(node),
      rollBack: (version) => dataSet.rollBack(version),
      cancelActivation: (version, options) => dataSet.cancelActivation(version, options),
      rounds: () => dataSet.rounds(),
      // The feed tells changes of keys.
      get deltas() {
        return noKeys();
      },
    },
    get tip() {
      return directory.tip;
    },
    get size() {
      return directory.size;
    },
    stateDigest: () => directory.stateDigest(),
    entry: noKeys,
    list: noKeys,
    change: noKeys,
    outcomeOf: noKeys,
  };
}

function filesBody({ added, changed, removed }: TreeDifference): FilesBody {
  return {
    added: added.slice(0, shownPaths),
    changed: changed.slice(0, shownPaths),
    removed: removed.slice(0, shownPaths),
    count: added.length + changed.length + removed.length,
  };
}
