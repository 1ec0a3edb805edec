const dayMs = 86_400_000;

/**
 * An instant for people, as ISO 8601 in UTC: `2026-12-01T09:00:00.000Z`. Arithmetic alone, since the rules know no clock of the
 * machine's, and what makes dates of numbers is one.
 */
export function instantText(atMs: number): string {
  const whole = Math.floor(atMs);
  const days = Math.floor(whole / dayMs);
  const { year, month, day } = dateOf(days);
  const inDayMs = whole - days * dayMs;
  const part = (unitMs: number, count: number): number => Math.floor(inDayMs / unitMs) % count;
  const time = [part(3_600_000, 24), part(60_000, 60), part(1000, 60)].map((each) => padded(each, 2)).join(':');
  return `${padded(year, 4)}-${padded(month, 2)}-${padded(day, 2)}T${time}.${padded(inDayMs % 1000, 3)}Z`;
}

/** Days since 1970 in the Gregorian calendar, by eras of 400 years that begin on the first of March. */
function dateOf(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const fromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * fromMarch + 2) / 5) + 1,
  };
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
