export type EventLevel = 'debug' | 'info' | 'warn' | 'error';

/** What one name of event says: a map from names to these is the list of all that can happen in a part of the product. */
export interface EventShape<Level extends EventLevel, Fields extends Readonly<Record<string, unknown>>> {
  readonly level: Level;
  readonly fields: Fields;
}

/** An event as it is recorded: the one of that name, or any of them. */
export type EventOf<Events, Name extends keyof Events = keyof Events> = {
  [Each in Name]: Events[Each] extends EventShape<infer Level, infer Fields>
    ? { readonly name: Each; readonly level: Level; readonly fields: Fields }
    : never;
}[Name];
