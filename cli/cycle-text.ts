import type { ActivationSpreadBody, CycleBody } from '../activation/core/bodies.js';
import type { CycleCopyStatusBody } from '../activation/copy/http/bodies.js';
import { ageText } from './status-text.js';
import { nothing, tableText } from './table.js';

/** The three copies, and what becomes of them when. */
export function cycleText(body: CycleBody, activations: readonly ActivationSpreadBody[] = []): string {
  const { active, items, waiting, lock, worstRetrieval, clock } = body;
  const nowMs = clock.sentMs;
  const since =
    active.activatedAtMs === null ? 'nothing was ever activated' : `since ${timeText(active.activatedAtMs)}`;
  const copies = tableText(
    ['copy', 'cycle', 'items', ''],
    [
      ['active', String(active.cycle), String(items.active), since],
      ['staged', String(body.cycle), String(items.staged), activationText(body.activateAtMs, nowMs)],
      [
        'production',
        nothing,
        String(items.production),
        waiting === 0 ? 'all of it is staged' : `${waiting} not staged yet`,
      ],
    ],
  );
  const lines = [
    `every ${durationText(body.intervalMs)}, at ${timeText(body.originMs)} and whole intervals from it`,
    `data server's clock ${timeText(nowMs)}`,
    ...(lock === null ? [] : [`locked by ${lock.holder} for another ${ageText(Math.max(0, lock.untilMs - nowMs))}`]),
    worstRetrieval === null
      ? 'no retrieval was reported in the last day'
      : `longest retrieval of the last day ${durationText(worstRetrieval.durationMs)}, at ${worstRetrieval.by}${body.intervalFits ? '' : ': longer than the interval; give a longer one'}`,
  ];
  const [last] = activations;
  if (last !== undefined) lines.push(spreadText(last));
  return `${copies}\n\n${lines.join('\n')}`;
}

/** How near to one instant the servers were, as they measured it. */
function spreadText({ cycle, servers, late, spreadMs, worstErrorMs }: ActivationSpreadBody): string {
  const lateText = late === 0 ? '' : `${servers === 0 ? '' : ', '}${late} late`;
  if (spreadMs === null || worstErrorMs === null) return `cycle ${cycle} was shown by${lateText}`;
  const count = servers === 1 ? '1 server' : `${servers} servers`;
  return `cycle ${cycle} was shown by ${count} within ${spreadMs.toFixed(1)} ms, each known to ${worstErrorMs.toFixed(1)} ms${lateText}`;
}

const head = [
  'node',
  'role',
  'state',
  'shows',
  'staged',
  'next activation',
  'clock error',
  'last activation',
  'table read',
];

/** One copy, in one row; below it its data server, the instant that it waits for, and why it isn't current. */
export function copyText(body: CycleCopyStatusBody): string {
  const { armed, clock, lastActivation, table } = body;
  const row = [
    body.node,
    'copy',
    body.state,
    cycleName(body.active),
    cycleName(body.staged),
    armed === null ? nothing : `cycle ${armed.cycle} in ${ageText(Math.max(0, armed.inMs))}`,
    clock === null ? nothing : `${clock.errorMs.toFixed(1)} ms`,
    lastActivation === null ? nothing : lastText(lastActivation),
    table === null ? nothing : `${ageText(table.readMsAgo)} ago`,
  ];
  const lines = [
    tableText(head, [row]),
    `copies from the data server ${body.from}`,
    ...(armed === null ? [] : [`cycle ${armed.cycle} shows at ${timeText(armed.activateAtMs)}`]),
    ...(body.reason === '' ? [] : [`${body.state}: ${body.reason}`]),
  ];
  return lines.join('\n');
}

/** What a change of the table led to. */
export function movedText({ cycle, activateAtMs, active, clock }: CycleBody): string {
  return `active is cycle ${active.cycle}; cycle ${cycle} ${activationText(activateAtMs, clock.sentMs)}`;
}

/** In the largest unit that is exact: `10m`, `90s`, `1500ms`. */
export function durationText(durationMs: number): string {
  for (const [unit, unitMs] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const)
    if (durationMs >= unitMs && durationMs % unitMs === 0) return `${durationMs / unitMs}${unit}`;
  return `${Math.round(durationMs * 10) / 10}ms`;
}

function activationText(atMs: number, nowMs: number): string {
  const when = nowMs >= atMs ? 'since then: no server has rolled yet' : `in ${ageText(atMs - nowMs)}`;
  return `active at ${timeText(atMs)}, ${when}`;
}

function lastText({
  reachedMs,
  activateAtMs,
  errorMs,
  late,
}: NonNullable<CycleCopyStatusBody['lastActivation']>): string {
  const after = activateAtMs === null ? 'late' : `${(reachedMs - activateAtMs).toFixed(1)} ± ${errorMs.toFixed(1)} ms`;
  return late && activateAtMs !== null ? `${after}, late` : after;
}

function cycleName(cycle: number | null): string {
  return cycle === null ? nothing : `cycle ${cycle}`;
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}
