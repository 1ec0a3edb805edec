import { Option, type Command } from 'commander';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import type { PastRoundBody } from '../shared/http/bodies.js';
import { httpBounds } from '../shared/http/bounds.js';
import { clientOf, dataSetOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import { wholeNumber } from './flags.js';
import { durationText } from './outcome-text.js';
import type { Shell } from './shell.js';
import { nothing, tableText } from './table.js';

const head = ['version', 'started', 'outcome', 'votes', 'decided', 'shown', 'keys', 'round', 'why'];
const shownNames = 3;

export function addHistory(program: Command, shell: Shell): void {
  withNodeFlags(
    program
      .command('history')
      .description('show the newest rounds: votes, vetoes, and how long each took; ask the master'),
  )
    .addOption(
      new Option('--limit <rounds>', `how many, at most ${httpBounds.rounds}`).argParser(wholeNumber).default(20),
    )
    .action(
      ending(shell, async (flags: NodeFlags & { readonly limit: number }) => {
        const client = clientOf(flags, shell);
        const history = await client.rounds(await dataSetOf(flags, client), Math.min(flags.limit, httpBounds.rounds));
        shell.out(flags.json === true ? JSON.stringify(history) : historyText(history.rounds));
        return exitCodes.ok;
      }),
    );
}

export function historyText(rounds: readonly PastRoundBody[]): string {
  return rounds.length === 0 ? 'no round since this master started' : tableText(head, rounds.map(row));
}

function row(round: PastRoundBody): readonly string[] {
  const yes = round.votes.filter((vote) => vote.yes).length;
  const asked = round.votes.length + round.missing.length;
  return [
    `v${round.version}`,
    timeText(new Date(round.startedAt)),
    outcomeWord(round),
    round.phases === 'one' ? 'one phase' : `${yes}/${asked} yes`,
    round.decidedMs === null ? nothing : durationText(round.decidedMs),
    round.exposedMs === null ? nothing : durationText(round.exposedMs),
    round.operations === null ? nothing : String(round.operations),
    round.round,
    whyText(round),
  ];
}

/** `armed 3/3` until its instant. */
function outcomeWord({ outcome, activation }: PastRoundBody): string {
  return outcome === 'armed' && activation !== null ? `armed ${activation.armed}/${activation.of}` : outcome;
}

/** The vetoes with their reasons; else why it ended, and who didn't answer. */
function whyText({ outcome, reason, votes, missing, activation }: PastRoundBody): string {
  const vetoes = votes.filter((vote) => !vote.yes).map((vote) => `${vote.node}: ${vote.reason.replaceAll('\n', '; ')}`);
  const silent = outcome === 'committed' || missing.length === 0 ? [] : [`no answer from ${namesText(missing)}`];
  if (outcome === 'armed' && activation !== null) return `shows at ${activation.at}`;
  if (outcome === 'open') return silent.length === 0 ? 'is being written' : `waits: ${silent.join('')}`;
  if (vetoes.length > 0) return vetoes.join('; ');
  if (reason === null) return missing.length === 0 ? '' : `without ${namesText(missing)}`;
  return reason === 'timeout' ? [reason, ...silent].join(': ') : reason;
}

function namesText(names: readonly string[]): string {
  const rest = names.length - shownNames;
  return `${names.slice(0, shownNames).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

/** Local time; with the day when it isn't today's. */
export function timeText(at: Date, now = new Date()): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  if (at.toDateString() === now.toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}
