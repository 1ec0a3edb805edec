import { roundField, tipField, withinBound, type FieldReader } from './fields.js';
import type { ActivationReport, ArmingNote, ArmingReport } from './messages.js';
import { wireLimits } from './wire-limits.js';

/*
 * What heartbeats, statuses and `arming` say of a scheduled change.
 *
 *   arming     = [round, to tip, activate at ms, bits of voters, order, armed]
 *   report     = [round, order, armed]
 *   activation = [round, exposed at ms | nil, error ms]
 */

export function armingFields(note: ArmingNote): unknown[] {
  withinBound(note.voters.length, wireLimits.maxBitmapBytes, 'bytes of voters');
  return [roundField(note.round), tipField(note.to), note.activateAtMs, note.voters, note.order, note.armed];
}

export function readArming(fields: FieldReader): ArmingNote {
  return {
    round: fields.round(),
    to: fields.tip(),
    activateAtMs: fields.count(),
    voters: fields.bitmap(),
    order: fields.count(),
    armed: fields.boolean(),
  };
}

export function armingReportField(report: ArmingReport | null): unknown[] | null {
  return report === null ? null : [roundField(report.round), report.order, report.armed];
}

export function readArmingReport(fields: FieldReader): ArmingReport | null {
  return readOptional(fields, 3, (reader) => ({
    round: reader.round(),
    order: reader.count(),
    armed: reader.boolean(),
  }));
}

export function activationField(report: ActivationReport | null): unknown[] | null {
  return report === null ? null : [roundField(report.round), report.exposedAtMs, report.errorMs];
}

export function readActivation(fields: FieldReader): ActivationReport | null {
  return readOptional(fields, 3, (reader) => ({
    round: reader.round(),
    exposedAtMs: reader.takeNull() ? null : reader.stamp(),
    errorMs: reader.duration(),
  }));
}

export function readArmingOrNull(fields: FieldReader): ArmingNote | null {
  return readOptional(fields, 6, readArming);
}

/** Nil, or one array of so many fields: an empty array is neither. */
function readOptional<Item>(fields: FieldReader, width: number, read: (reader: FieldReader) => Item): Item | null {
  if (fields.takeNull()) return null;
  const [item] = fields.list({ most: 1, width }, read);
  return item ?? fields.wrong(null);
}
