import { oneHot, seconds, type Family, type Sample } from '../../shared/metrics/family.js';
import { registerFamilies, registerProcess, type MetricsOptions } from '../../shared/metrics/register.js';
import { packageVersion } from '../../shared/metrics/version.js';
import type { CycleCopyState, CycleView } from './core/io.js';
import type { CycleCopy } from './cycle-copy.js';

interface CycleCopyAccount {
  readonly name: string;
  readonly view: CycleView;
}

const states: readonly CycleCopyState[] = ['current', 'serving', 'catching up', 'failed'];

const family = (
  name: string,
  help: string,
  value: (view: CycleView) => number | null | undefined,
): Family<CycleCopyAccount> => ({
  name,
  type: 'gauge',
  help,
  labels: [],
  samples: ({ view }): Sample[] => {
    const found = value(view);
    return found === null || found === undefined ? [] : [[[], found]];
  },
});

export const cycleCopyFamilies: readonly Family<CycleCopyAccount>[] = [
  {
    name: 'lockstep_build_info',
    type: 'gauge',
    help: 'Always 1; its labels say what runs.',
    labels: ['version', 'node_version', 'role', 'node'],
    samples: ({ name }) => [[[packageVersion, process.version, 'cycle-copy', name], 1]],
  },
  {
    name: 'lockstep_cycle_copy_state',
    type: 'gauge',
    help: 'State of the copy of a pull cycle: 1 for the one that it is in.',
    labels: ['state'],
    samples: ({ view }) => oneHot([], states, view.state),
  },
  family('lockstep_cycle_copy_active', 'Cycle that readers see; missing while there is none.', ({ active }) => active),
  family(
    'lockstep_cycle_copy_staged',
    'Cycle that the staged copy holds; missing while it holds none.',
    ({ staged }) => staged,
  ),
  family(
    'lockstep_cycle_copy_table_age_seconds',
    "Seconds since the data server's table was read; missing before the first time.",
    ({ readMsAgo }) => seconds(readMsAgo),
  ),
  family(
    'lockstep_cycle_copy_clock_error_seconds',
    "How far the data server's clock may be from what it is taken for, in seconds; missing while it is not known.",
    ({ clock }) => seconds(clock?.errorMs ?? null),
  ),
  family(
    'lockstep_cycle_copy_retrieval_seconds',
    'How long the last retrieval of a staged content took, until it was durable, in seconds.',
    ({ retrieval }) => seconds(retrieval?.durationMs ?? null),
  ),
  family(
    'lockstep_cycle_copy_activation_after_seconds',
    'How long after its prearranged instant the last activation showed, in seconds.',
    ({ lastActivation }) =>
      lastActivation === null || lastActivation.activateAtMs === null
        ? null
        : seconds(lastActivation.reachedMs - lastActivation.activateAtMs),
  ),
  family('lockstep_cycle_copy_activation_error_seconds', 'How far that may be off, in seconds.', ({ lastActivation }) =>
    seconds(lastActivation?.errorMs ?? null),
  ),
];

/**
 * Puts the metrics of a copy into a registry of prom-client; `docs/metrics.md` lists them. They are read when somebody scrapes.
 * The returned function takes them out again.
 *
 * Throws `bad-option` when the registry has such metrics already.
 */
export function registerCycleCopyMetrics(copy: CycleCopy, options: MetricsOptions): () => void {
  const account = (): CycleCopyAccount => ({ name: copy.name, view: copy.view() });
  const undo = [registerFamilies(cycleCopyFamilies, account, options), registerProcess(options)];
  return () => {
    for (const each of undo) each();
  };
}
