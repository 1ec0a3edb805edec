const dayMs = 86_400_000;

/**
 * An instant as people and programs read it: `2026-12-01T09:00:00.000Z`. For milliseconds since 1970, by the Gregorian calendar
 * and in UTC; below 1970 and beyond the year 9999 it stays a number.
 */
export function showInstant(unixMs: number): string {
  const wholeMs = Math.floor(unixMs);
  if (!(wholeMs >= 0 && wholeMs < 253_402_300_800_000)) return `${unixMs} ms`;
  const { year, month, day } = dateOf(Math.floor(wholeMs / dayMs));
  const inDayMs = wholeMs % dayMs;
  const time = [Math.floor(inDayMs / 3_600_000), Math.floor(inDayMs / 60_000) % 60, Math.floor(inDayMs / 1000) % 60];
  const date = `${padded(year, 4)}-${padded(month, 2)}-${padded(day, 2)}`;
  return `${date}T${time.map((part) => padded(part, 2)).join(':')}.${padded(inDayMs % 1000, 3)}Z`;
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}

/** Years are counted from March on here, so that the leap day comes last; 400 of them have always the same days. */
function dateOf(daysSince1970: number): { readonly year: number; readonly month: number; readonly day: number } {
  const days = daysSince1970 + 719_468;
  const era = Math.floor(days / 146_097);
  const dayOfEra = days - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  return {
    year: era * 400 + yearOfEra + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1,
  };
}
