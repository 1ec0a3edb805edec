import { each, oneHot, seconds, type Family } from '../../shared/metrics/family.js';
import { resyncCauses } from '../../shared/protocol/kernel/resyncs.js';
import type { SlaveState } from '../../shared/protocol/wire/messages.js';
import type { SlaveView } from '../service/core/view.js';
import type { SlaveStatus } from '../slave.js';

export const slaveStates: readonly SlaveState[] = ['current', 'serving', 'catching up', 'diverged', 'failed'];

const family = (
  name: string,
  type: Family<SlaveStatus>['type'],
  help: string,
  value: (view: SlaveView) => number | null,
): Family<SlaveStatus> => ({
  name,
  type,
  help,
  labels: ['data_set'],
  samples: ({ dataSets }) => each(dataSets, (dataSet) => [[dataSet.name], value(dataSet.view)]),
});

export const slaveFamilies: readonly Family<SlaveStatus>[] = [
  {
    name: 'lockstep_slave_state',
    type: 'gauge',
    help: 'State of the copy: 1 for the one that it is in.',
    labels: ['data_set', 'state'],
    samples: ({ dataSets }) => dataSets.flatMap(({ name, view }) => oneHot([name], slaveStates, view.state)),
  },
  family('lockstep_master_heard', 'gauge', '1 when a master was heard within a lease.', ({ master }) =>
    master === null ? 0 : 1,
  ),
  family(
    'lockstep_version',
    'gauge',
    'Newest version: committed at a master, shown at a slave; 0 when there is none.',
    ({ tip }) => tip?.version ?? 0,
  ),
  family(
    'lockstep_epoch',
    'gauge',
    'Reign that this master claimed, or that this slave is bound to.',
    ({ promised }) => promised.number,
  ),
  family(
    'lockstep_behind_versions',
    'gauge',
    'Versions that this copy lacks, at most; missing while no master is heard.',
    ({ behind }) => behind,
  ),
  family(
    'lockstep_behind_seconds',
    'gauge',
    'Seconds since this node heard of the oldest version that its copy lacks; 0 when it lacks none, missing while no master is heard.',
    ({ behindMs }) => seconds(behindMs),
  ),
  family(
    'lockstep_in_doubt_rounds',
    'gauge',
    'Rounds that this node said yes to and whose outcome it does not know.',
    ({ inDoubt }) => inDoubt.length,
  ),
  family(
    'lockstep_in_doubt_oldest_seconds',
    'gauge',
    'Age of the oldest of them in seconds; 0 when there is none.',
    ({ inDoubt }) => Math.max(0, ...inDoubt.map(({ ageMs }) => ageMs)) / 1000,
  ),
  family(
    'lockstep_clock_error_seconds',
    'gauge',
    'How far the group time may be off, as this node knows it, seconds; missing while it knows none.',
    ({ clock }) => seconds(clock?.errorMs ?? null),
  ),
  family('lockstep_repairs_total', 'counter', 'Deltas that this node asked for.', ({ repairs }) => repairs),
  family('lockstep_snapshots_total', 'counter', 'Snapshots that this node took.', ({ snapshots }) => snapshots),
  {
    name: 'lockstep_clock_offset_seconds',
    type: 'gauge',
    help: 'Group time less the time of day of this node, seconds; missing while it does not know group time.',
    labels: ['data_set'],
    samples: ({ dataSets }) =>
      each(dataSets, ({ name, view: { clock } }) => [
        [name],
        clock === null ? null : (clock.groupMs - Date.now()) / 1000,
      ]),
  },
  {
    name: 'lockstep_votes_total',
    type: 'counter',
    help: 'Votes that this node gave, by answer; one that it repeats counts once.',
    labels: ['data_set', 'answer'],
    samples: ({ dataSets }) =>
      dataSets.flatMap(({ name, view }) => [
        [[name, 'yes'], view.votes.yes] as const,
        [[name, 'no'], view.votes.no] as const,
      ]),
  },
  {
    name: 'lockstep_resyncs_total',
    type: 'counter',
    help: 'How often this copy had to be brought up otherwise than by the packets of its rounds, by cause.',
    labels: ['data_set', 'cause'],
    samples: ({ dataSets }) =>
      dataSets.flatMap(({ name, view }) =>
        resyncCauses.map((cause) => [[name, cause], view.resyncs[cause] ?? 0] as const),
      ),
  },
];
