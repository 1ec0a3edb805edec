import type { Json } from '../shared/protocol/key-value/operations.js';

/** The fields that are the key when nobody says which; the first of them that a record has. */
export const usualKeyFields: readonly string[] = ['key', 'id', 'sku'];

/** Only what reads back as the same text: `007` and `1e3` stay texts. */
export function cellValue(cell: string): Json {
  if (cell === 'true' || cell === 'false') return cell === 'true';
  const number = Number(cell);
  return cell !== '' && Number.isFinite(number) && String(number) === cell ? number : cell;
}
