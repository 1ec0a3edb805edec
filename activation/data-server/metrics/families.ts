import type { Family } from '../../../shared/metrics/family.js';
import type { ActivationSpreadBody } from '../../core/bodies.js';
import type { CycleState } from '../../core/table.js';
import { heldLock } from '../../core/cycle.js';
import type { DataServerCounters } from '../data-server.js';

/** What a data server tells of itself when somebody scrapes. */
export interface DataServerAccount {
  readonly nowMs: number;
  /** Null: the database couldn't be read yet. */
  readonly state: CycleState | null;
  readonly isUp: boolean;
  readonly counters: DataServerCounters;
  /** The last activation, as servers reported it; null: none was. */
  readonly activation: ActivationSpreadBody | null;
}

export function dataServerFamilies(version: string): readonly Family<DataServerAccount>[] {
  return [
    {
      name: 'lockstep_build_info',
      type: 'gauge',
      help: 'Always 1; its labels say what runs.',
      labels: ['version', 'node_version', 'role', 'node'],
      samples: () => [[[version, process.version, 'data-server', 'data-server'], 1]],
    },
    {
      name: 'lockstep_cycle_database_up',
      type: 'gauge',
      help: '1 when the database did what it was last asked for.',
      labels: [],
      samples: ({ isUp }) => [[[], isUp ? 1 : 0]],
    },
    gauge('lockstep_cycle_number', 'The cycle that is staged.', ({ cycle }) => cycle),
    gauge('lockstep_cycle_active_number', 'The cycle whose content is active.', ({ active }) => active.cycle),
    gauge(
      'lockstep_cycle_activation_timestamp_seconds',
      'The next activation, in seconds since 1970 by the clock of the data server.',
      ({ activateAtMs }) => activateAtMs / 1000,
    ),
    gauge(
      'lockstep_cycle_overdue_seconds',
      'Seconds since the activation time passed without anybody rolling; 0 when it lies ahead.',
      ({ activateAtMs }, nowMs) => Math.max(0, nowMs - activateAtMs) / 1000,
    ),
    gauge('lockstep_cycle_interval_seconds', 'Seconds between activations.', ({ intervalMs }) => intervalMs / 1000),
    gauge(
      'lockstep_cycle_worst_retrieval_seconds',
      'The longest retrieval of the last day, in seconds.',
      ({ worstRetrieval }) => (worstRetrieval === null ? null : worstRetrieval.durationMs / 1000),
    ),
    gauge('lockstep_cycle_locked', '1 while somebody has the lock.', (state, nowMs) =>
      heldLock(state, nowMs) === null ? 0 : 1,
    ),
    gauge(
      'lockstep_cycle_waiting_items',
      'Keys whose last edit in production is not staged, dated ones among them.',
      ({ waiting }) => waiting,
    ),
    {
      name: 'lockstep_cycle_items',
      type: 'gauge',
      help: 'Keys that have a value, by copy.',
      labels: ['copy'],
      samples: ({ state }) =>
        state === null ? [] : Object.entries(state.items).map(([copy, count]) => [[copy], count]),
    },
    {
      name: 'lockstep_cycle_activation_servers',
      type: 'gauge',
      help: 'Servers that reported the last activation: in time, and late.',
      labels: ['when'],
      samples: ({ activation }) =>
        activation === null
          ? []
          : [
              [['in-time'], activation.servers],
              [['late'], activation.late],
            ],
    },
    ofActivation(
      'lockstep_cycle_activation_spread_seconds',
      'From the first to the last server that showed the last activation in time, in seconds.',
      ({ spreadMs }) => spreadMs,
    ),
    ofActivation(
      'lockstep_cycle_activation_error_seconds',
      'How far each of those instants may be off, at most, in seconds.',
      ({ worstErrorMs }) => worstErrorMs,
    ),
    {
      name: 'lockstep_cycle_rolls_total',
      type: 'counter',
      help: 'Rolls that this data server did.',
      labels: [],
      samples: ({ counters }) => [[[], counters.rolls]],
    },
    {
      name: 'lockstep_cycle_copied_items_total',
      type: 'counter',
      help: 'Keys that were copied here, by the copy that they were copied to; an unchanged cycle copies none.',
      labels: ['to'],
      samples: ({ counters }) => [
        [['staged'], counters.staged],
        [['active'], counters.activated],
      ],
    },
    {
      name: 'lockstep_cycle_refusals_total',
      type: 'counter',
      help: 'What was refused, by reason.',
      labels: ['reason'],
      samples: ({ counters }) => Object.entries(counters.refused).map(([reason, count]) => [[reason], count]),
    },
  ];
}

function ofActivation(
  name: string,
  help: string,
  readMs: (activation: ActivationSpreadBody) => number | null,
): Family<DataServerAccount> {
  return {
    name,
    type: 'gauge',
    help,
    labels: [],
    samples: ({ activation }) => {
      const valueMs = activation === null ? null : readMs(activation);
      return valueMs === null ? [] : [[[], valueMs / 1000]];
    },
  };
}

function gauge(
  name: string,
  help: string,
  read: (state: CycleState, nowMs: number) => number | null,
): Family<DataServerAccount> {
  return {
    name,
    type: 'gauge',
    help,
    labels: [],
    samples: ({ state, nowMs }) => {
      const value = state === null ? null : read(state, nowMs);
      return value === null ? [] : [[[], value]];
    },
  };
}
