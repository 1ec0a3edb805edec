import * as z from 'zod';

/** What a price has to be for this service to work with it. */
export const Price = z.strictObject({ cents: z.number().int().positive() });

export type Price = z.infer<typeof Price>;
