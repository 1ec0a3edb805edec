import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { errorText } from '../../../../shared/protocol/kernel/errors.js';
import { BadScenario } from './place.js';
import type { Played, StepResult } from './play.js';
import { play } from './play.js';
import { readScenario } from './read.js';
import { RealStage } from './real/stage.js';
import type { Scenario } from './scenario.js';
import { SimulatedStage } from './simulated/stage.js';

export interface ReplayOptions {
  readonly real?: boolean;
  /** Under simulation this seed alone; default: the seeds that the scenario names. */
  readonly seed?: number;
  readonly keepTrace?: boolean;
  /** Hears each line as people read it. */
  readonly tell?: (line: string) => void;
}

export interface Report {
  readonly file: string;
  readonly title: string;
  readonly stage: 'simulation' | 'real';
  /** `skipped`: it declares why it can't be played with real processes. */
  readonly result: Played['result'] | 'skipped';
  readonly seeds: readonly number[];
  /** Of the seed that failed, or else of the first. */
  readonly steps: readonly StepResult[];
  readonly reason: string | null;
}

/** Reads and plays one file. Rejects with `BadScenario` when the file isn't one. */
export async function replayFile(file: string, options: ReplayOptions = {}): Promise<Report> {
  const scenario = readScenario(file, await textOf(file));
  const tell = options.tell ?? (() => undefined);
  tell(`${basename(file)}: ${scenario.title}`);
  const report =
    options.real === true ? await replayReal(scenario, tell) : await replaySimulated(scenario, options, tell);
  tell(verdict(report));
  return report;
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new BadScenario(`${file}: can't be read: ${errorText(error)}`);
  }
}

async function replaySimulated(
  scenario: Scenario,
  options: ReplayOptions,
  tell: (line: string) => void,
): Promise<Report> {
  const seeds =
    options.seed === undefined ? Array.from({ length: scenario.seeds }, (_, index) => index + 1) : [options.seed];
  let first: Played | null = null;
  for (const seed of seeds) {
    const { played, trace } = await playSimulated(scenario, seed, options.keepTrace ?? false);
    for (const line of trace) tell(line);
    const isTold = first === null || played.result !== 'passed';
    if (isTold) for (const step of played.steps) tell(stepLine(step));
    first ??= played;
    if (played.result !== 'passed') return reportOf(scenario, 'simulation', played, [seed]);
  }
  return reportOf(scenario, 'simulation', first ?? { result: 'passed', steps: [] }, seeds);
}

async function playSimulated(
  scenario: Scenario,
  seed: number,
  keepTrace: boolean,
): Promise<{ played: Played; trace: readonly string[] }> {
  await using stage = new SimulatedStage(scenario, { seed, keepTrace });
  const played = await play(scenario, stage);
  return { played, trace: stage.trace };
}

async function replayReal(scenario: Scenario, tell: (line: string) => void): Promise<Report> {
  if (scenario.notReal !== null) {
    return {
      ...reportOf(scenario, 'real', { result: 'passed', steps: [] }, []),
      result: 'skipped',
      reason: scenario.notReal,
    };
  }
  await using stage = await RealStage.open(scenario);
  const played = await play(scenario, stage, (step) => {
    tell(stepLine(step));
  });
  if (played.result !== 'passed') for (const line of stage.lastWords()) tell(line);
  return reportOf(scenario, 'real', played, []);
}

function reportOf(scenario: Scenario, stage: Report['stage'], played: Played, seeds: readonly number[]): Report {
  return {
    file: scenario.file,
    title: scenario.title,
    stage,
    result: played.result,
    seeds,
    steps: played.steps,
    reason: null,
  };
}

function stepLine({ line, text, ok, remark }: StepResult): string {
  const where = line === null ? '' : String(line);
  return `${ok ? '✓' : '✗'} ${where.padStart(3)}  ${text}${remark === '' ? '' : ` → ${remark}`}`;
}

function verdict({ result, stage, seeds, file, reason }: Report): string {
  const last = seeds.at(-1);
  switch (result) {
    case 'passed':
      return stage === 'real'
        ? 'passed with real processes'
        : `passed in simulation with ${seeds.length > 1 ? `seeds 1 to ${last ?? 1}` : `seed ${last ?? 1}`}`;
    case 'skipped':
      return `not played with real processes: ${reason ?? ''}`;
    case 'impossible':
      return 'not played: this needs the simulation; leave --real out, or declare real: false with a reason';
    case 'failed':
      return stage === 'real'
        ? `FAILED; replay: npm run replay -- ${file} --real`
        : `FAILED; replay: npm run replay -- ${file} --seed ${last ?? 1} --trace`;
  }
}
