import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { errorText, exitCodes, LockstepError, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { OutcomeBody } from '../shared/http/bodies.js';
import { httpBounds } from '../shared/http/bounds.js';
import type { Client } from './client.js';
import { changeOptions, clientOf, dataSetOf, type ChangeFlags } from './common.js';
import { armedText, durationText, exitOfOutcome, outcomeText, votesText } from './outcome-text.js';
import { Progress } from './progress.js';
import { batchesOf, parseRecords, putOf, type LoadedRecord, type RecordFormat } from './records.js';
import type { Shell } from './shell.js';

export interface LoadFlags extends ChangeFlags {
  readonly format?: RecordFormat;
  readonly key?: string;
  readonly text?: true;
  readonly atomic?: true;
  readonly batch: number;
}

/** A file is held whole, so that a wrong line anywhere means that nothing was applied. */
const maxFileBytes = 512 * 1024 * 1024;
/** A batch stays small enough to be multicast. */
const maxBatchBytes = 2 * 1024 * 1024;

/** What `lockstep load` does: loaded for it alone, since the CSV parser comes with it. */
export async function loadRecords(shell: Shell, file: string, flags: LoadFlags): Promise<ExitCode> {
  const format = flags.format ?? (file.toLowerCase().endsWith('.csv') ? 'csv' : 'ndjson');
  const records = parseRecords(await readInput(file, shell), {
    format,
    ...(flags.key === undefined ? {} : { keyField: flags.key }),
    ...(flags.text === undefined ? {} : { textOnly: flags.text }),
  });
  if (records.length === 0) throw new LockstepError('bad-input', `${file}: holds no record; nothing was applied`);
  return send(shell, flags, records);
}

async function send(shell: Shell, flags: LoadFlags, records: readonly LoadedRecord[]): Promise<ExitCode> {
  const startedMs = performance.now();
  const isOneChange = flags.atomic === true || flags.at !== undefined;
  const batches = isOneChange
    ? [oneBatch(records, flags)]
    : batchesOf(records, { records: flags.batch, bytes: maxBatchBytes });
  const client = clientOf(flags, shell);
  const dataSet = await dataSetOf(flags, client);
  const progress = new Progress(shell);
  let done = 0;
  let last: DecidedBody | null = null;
  for (const batch of batches) {
    const outcome = await sendBatch(client, { dataSet, batch, flags }).catch((error: unknown) => {
      progress.clear();
      throw done === 0 ? error : partly(error, done, records.length);
    });
    if (outcome.outcome !== 'committed' && outcome.outcome !== 'armed') {
      progress.clear();
      report(shell, flags, { outcome, batch, done, total: records.length });
      return exitOfOutcome(outcome);
    }
    last = outcome;
    done += batch.length;
    progress.show(`${done} of ${records.length} records · ${Math.floor((100 * done) / records.length)} %`);
  }
  progress.clear();
  if (last === null) return exitCodes.ok;
  const durationMs = performance.now() - startedMs;
  shell.out(
    flags.json === true
      ? JSON.stringify({
          ...last,
          records: records.length,
          changes: batches.length,
          durationMs: Math.round(durationMs * 1000) / 1000,
        })
      : ` ${records.length} records · version ${last.version} · ${decidedText(last)} · ${durationText(durationMs)}`,
  );
  return exitCodes.ok;
}

type DecidedBody = Extract<OutcomeBody, { outcome: 'committed' | 'armed' }>;

function decidedText(outcome: DecidedBody): string {
  if (outcome.outcome === 'committed') return `committed${votesText(outcome)}`;
  return `${armedText(outcome.arming)} for ${outcome.activateAt}`;
}

async function sendBatch(
  client: Client,
  {
    dataSet,
    batch,
    flags,
  }: { readonly dataSet: string; readonly batch: readonly LoadedRecord[]; readonly flags: LoadFlags },
): Promise<OutcomeBody> {
  return client.change({
    dataSet,
    operations: batch.map(putOf),
    options: changeOptions(flags),
    idempotencyKey: randomUUID(),
  });
}

/** What became of the file: which part is in, which isn't, and which lines were refused. */
function report(
  shell: Shell,
  flags: LoadFlags,
  {
    outcome,
    batch,
    done,
    total,
  }: {
    readonly outcome: OutcomeBody;
    readonly batch: readonly LoadedRecord[];
    readonly done: number;
    readonly total: number;
  },
): void {
  const firstLine = batch[0]?.line ?? 0;
  const lastLine = batch.at(-1)?.line ?? 0;
  if (flags.json === true) {
    const refusedLines =
      outcome.outcome === 'aborted'
        ? outcome.refusals.flatMap((refusal) => refusal.operations ?? []).map((position) => batch[position]?.line ?? 0)
        : [];
    shell.out(
      JSON.stringify({ ...outcome, records: total, committedRecords: done, firstLine, lastLine, refusedLines }),
    );
    return;
  }
  shell.out(outcomeText(outcome, batch.map(putOf)));
  shell.out(
    ` ${done} of ${total} records are committed; it stopped at the change of lines ${firstLine} to ${lastLine}`,
  );
}

function partly(error: unknown, done: number, total: number): unknown {
  if (!(error instanceof LockstepError)) return error;
  return new LockstepError(error.code, `${error.message} (${done} of ${total} records are committed)`, {
    cause: error,
  });
}

/** For `--atomic`, and for `--at`: what is to show at one instant is one change. */
function oneBatch(records: readonly LoadedRecord[], { at }: LoadFlags): readonly LoadedRecord[] {
  if (records.length <= httpBounds.operations) return records;
  const [flag, what] =
    at === undefined ? ['--atomic', 'leave --atomic out or split the file'] : ['--at', 'split the file'];
  throw new LockstepError(
    'bad-option',
    `${flag} takes at most ${httpBounds.operations} records, this file has ${records.length}; ${what}`,
  );
}

async function readInput(file: string, shell: Shell): Promise<Uint8Array> {
  if (file !== '-') {
    try {
      const bytes = await readFile(file);
      if (bytes.length > maxFileBytes) throw tooLarge(file);
      return bytes;
    } catch (error) {
      if (error instanceof LockstepError) throw error;
      const code = error instanceof Error && 'code' in error ? error.code : '';
      if (code === 'ERR_FS_FILE_TOO_LARGE') throw tooLarge(file);
      throw new LockstepError(
        'bad-option',
        `load ${file}: can't be read (${errorText(error)}); give a file, or - for standard input`,
        { cause: error },
      );
    }
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of shell.input) {
    bytes += chunk.length;
    if (bytes > maxFileBytes) throw tooLarge('standard input');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(file: string): LockstepError {
  return new LockstepError('bad-input', `${file}: is larger than ${maxFileBytes} bytes; split it; nothing was applied`);
}
