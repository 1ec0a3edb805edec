import { bulk } from './bulk.js';
import { datagrams } from './datagrams.js';
import { http } from './http.js';
import { forgers, strangers } from './messages.js';
import type { FuzzTarget } from './target.js';

/** Everything that is fuzzed, with its share of the inputs: what goes over real sockets is slower. */
export const targets: readonly { readonly target: FuzzTarget; readonly share: number }[] = [
  { target: datagrams, share: 50 },
  { target: strangers, share: 20 },
  { target: forgers, share: 20 },
  { target: bulk, share: 2 },
  { target: http, share: 8 },
];
