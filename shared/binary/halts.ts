import type { EventLog } from '../runtime/ports.js';

/** A data set that is over in this process, as its service records it. */
export interface Halt {
  readonly dataSet: string;
  readonly code: string;
  readonly reason: string;
}

/** Passes every event on, and settles at the first that ends a data set. */
export function watchHalts(log: EventLog): { readonly log: EventLog; readonly halted: Promise<Halt> } {
  let halt: (halt: Halt) => void = () => undefined;
  const halted = new Promise<Halt>((resolve) => {
    halt = resolve;
  });
  const watching: EventLog = {
    wants: (name, level) => name === 'halted' || (log.wants?.(name, level) ?? true),
    record(event) {
      log.record(event);
      if (event.name !== 'halted') return;
      // The core calls its account `text`, the service that passes it on `reason`.
      const { dataSet, code, reason, text: account } = event.fields;
      halt({ dataSet: text(dataSet), code: text(code), reason: text(reason ?? account) });
    },
  };
  return { log: watching, halted };
}

function text(field: unknown): string {
  return typeof field === 'string' ? field : '';
}
