import { each, oneHot, seconds, type Family } from '../../shared/metrics/family.js';
import { resyncCauses } from '../../shared/protocol/kernel/resyncs.js';
import type { MasterStatus } from '../master.js';
import type { MasterPhase, MemberView } from '../service/core/view.js';

export const masterPhases: readonly MasterPhase[] = [
  'opening',
  'surveying',
  'claiming',
  'leading',
  'closing',
  'halted',
];

interface NamedMember {
  readonly dataSet: string;
  readonly member: MemberView;
}

/** Of each data set at most `maxMembers`, those first that are furthest behind: a scrape stays readable. */
function membersOf(status: MasterStatus, maxMembers: number): NamedMember[] {
  return status.dataSets.flatMap(({ name, view }) => {
    const members =
      view.members.length <= maxMembers
        ? view.members
        : [...view.members].sort((a, b) => (b.behindMs ?? Infinity) - (a.behindMs ?? Infinity)).slice(0, maxMembers);
    return members.map((member) => ({ dataSet: name, member }));
  });
}

export function masterFamilies(maxMembers: number): readonly Family<MasterStatus>[] {
  return [...dataSetFamilies, ...memberFamilies(maxMembers)];
}

const dataSetFamilies: readonly Family<MasterStatus>[] = [
  {
    name: 'lockstep_master_phase',
    type: 'gauge',
    help: 'Phase of the master: 1 for the one that it is in.',
    labels: ['data_set', 'phase'],
    samples: ({ dataSets }) => dataSets.flatMap(({ name, view }) => oneHot([name], masterPhases, view.phase)),
  },
  {
    name: 'lockstep_may_commit',
    type: 'gauge',
    help: '1 when this master leads and may commit, 0 while it still waits for promises or leases.',
    labels: ['data_set'],
    samples: ({ dataSets }) => each(dataSets, ({ name, view }) => [[name], view.mayCommit ? 1 : 0]),
  },
  {
    name: 'lockstep_version',
    type: 'gauge',
    help: 'Newest version: committed at a master, shown at a slave; 0 when there is none.',
    labels: ['data_set'],
    samples: ({ dataSets }) => each(dataSets, ({ name, view }) => [[name], view.tip?.version ?? 0]),
  },
  {
    name: 'lockstep_epoch',
    type: 'gauge',
    help: 'Reign that this master claimed, or that this slave is bound to.',
    labels: ['data_set'],
    samples: ({ dataSets }) => each(dataSets, ({ name, view }) => [[name], view.epoch.number]),
  },
  {
    name: 'lockstep_rounds_open',
    type: 'gauge',
    help: 'Rounds that are being voted on or decided.',
    labels: ['data_set'],
    samples: ({ dataSets }) => each(dataSets, ({ name, view }) => [[name], view.openRounds.length]),
  },
  {
    name: 'lockstep_oldest_round_seconds',
    type: 'gauge',
    help: 'Age of the oldest open round in seconds; 0 when none is open.',
    labels: ['data_set'],
    samples: ({ dataSets }) =>
      each(dataSets, ({ name, view }) => [[name], Math.max(0, ...view.openRounds.map(({ ageMs }) => ageMs)) / 1000]),
  },
  {
    name: 'lockstep_changes_queued',
    type: 'gauge',
    help: 'Replications that wait at the master for their turn.',
    labels: ['data_set'],
    samples: ({ dataSets }) => each(dataSets, ({ name, view }) => [[name], view.queued]),
  },
  {
    name: 'lockstep_armed_missing',
    type: 'gauge',
    help: 'Voters of a scheduled change that have not reported that they are armed; 0 while none waits.',
    labels: ['data_set'],
    samples: ({ dataSets }) => each(dataSets, ({ name, view }) => [[name], view.armed?.missing.length ?? 0]),
  },
  {
    name: 'lockstep_activation_spread_seconds',
    type: 'gauge',
    help: 'Seconds from the first to the last node to show the newest scheduled change, by their own clocks.',
    labels: ['data_set'],
    samples: ({ dataSets }) => each(dataSets, ({ name, view }) => [[name], seconds(view.activation?.spreadMs ?? null)]),
  },
  {
    name: 'lockstep_activation_bound_seconds',
    type: 'gauge',
    help: 'Seconds that the true spread of the newest scheduled change is within.',
    labels: ['data_set'],
    samples: ({ dataSets }) => each(dataSets, ({ name, view }) => [[name], seconds(view.activation?.boundMs ?? null)]),
  },
  {
    name: 'lockstep_history_bytes',
    type: 'gauge',
    help: 'Bytes of changes that the master keeps for slaves that are behind.',
    labels: ['data_set'],
    samples: ({ dataSets }) => each(dataSets, ({ name, view }) => [[name], view.historyBytes]),
  },
  {
    name: 'lockstep_members',
    type: 'gauge',
    help: 'Registered slaves: live, heard within a lease, and silent.',
    labels: ['data_set', 'heard'],
    samples: ({ dataSets }) =>
      dataSets.flatMap(({ name, view }) => {
        const live = view.members.filter((member) => member.live).length;
        return [[[name, 'live'], live] as const, [[name, 'silent'], view.members.length - live] as const];
      }),
  },
];

function memberFamilies(maxMembers: number): readonly Family<MasterStatus>[] {
  const family = (
    name: string,
    type: Family<MasterStatus>['type'],
    help: string,
    value: (member: MemberView) => number | null,
  ): Family<MasterStatus> => ({
    name,
    type,
    help,
    labels: ['data_set', 'node'],
    samples: (status) =>
      each(membersOf(status, maxMembers), ({ dataSet, member }) => [[dataSet, member.node], value(member)]),
  });
  return [
    family('lockstep_member_live', 'gauge', '1 when the slave was heard within a lease.', ({ live }) => (live ? 1 : 0)),
    family(
      'lockstep_member_current',
      'gauge',
      '1 when the slave is heard and called itself current.',
      ({ live, state }) => (live && state === 'current' ? 1 : 0),
    ),
    family(
      'lockstep_member_behind_versions',
      'gauge',
      'Committed versions that the slave lacks, by its last account.',
      ({ behind }) => behind,
    ),
    family(
      'lockstep_member_behind_seconds',
      'gauge',
      'Seconds since the oldest version that the slave lacks was committed; 0 when it has the newest.',
      ({ behindMs }) => seconds(behindMs),
    ),
    family('lockstep_member_unheard_seconds', 'gauge', 'Seconds since the slave was last heard.', ({ heardMsAgo }) =>
      seconds(heardMsAgo),
    ),
    family(
      'lockstep_member_round_trip_seconds',
      'gauge',
      'Smoothed round trip to the slave and back, seconds.',
      ({ roundTripMs }) => seconds(roundTripMs),
    ),
    family(
      'lockstep_member_in_doubt_rounds',
      'gauge',
      'Rounds that the slave said yes to and whose outcome it has not told to know.',
      ({ inDoubt }) => inDoubt,
    ),
    family(
      'lockstep_member_in_doubt_oldest_seconds',
      'gauge',
      'Seconds since the oldest of them was first told; 0 when there is none.',
      ({ oldestInDoubtMs }) => (oldestInDoubtMs ?? 0) / 1000,
    ),
    family(
      'lockstep_member_repairs_total',
      'counter',
      'Deltas that the slave asked for since its start.',
      ({ repairs }) => repairs,
    ),
    family(
      'lockstep_member_snapshots_total',
      'counter',
      'Snapshots that the slave took since its start.',
      ({ snapshots }) => snapshots,
    ),
    {
      name: 'lockstep_member_votes_total',
      type: 'counter',
      help: 'Votes of the slave, by answer, as this master counted them.',
      labels: ['data_set', 'node', 'answer'],
      samples: (status) =>
        membersOf(status, maxMembers).flatMap(({ dataSet, member }) => [
          [[dataSet, member.node, 'yes'], member.votes.yes] as const,
          [[dataSet, member.node, 'no'], member.votes.no] as const,
        ]),
    },
    {
      name: 'lockstep_member_resyncs_total',
      type: 'counter',
      help: 'How often the slave had to be brought up otherwise than by the packets of its rounds, by cause.',
      labels: ['data_set', 'node', 'cause'],
      samples: (status) =>
        membersOf(status, maxMembers).flatMap(({ dataSet, member }) =>
          resyncCauses.map((cause) => [[dataSet, member.node, cause], member.resyncs[cause] ?? 0] as const),
        ),
    },
  ];
}
