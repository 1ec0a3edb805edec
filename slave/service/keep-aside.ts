import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../shared/runtime/ports.js';
import type { KeepAside } from './slave-effects.js';

/** Keeps old copies as files of one folder: `<data set>-<version>-<time>.snapshot`, in the user layer's own format. */
export function keepInFolder(folder: string, clock: Clock): KeepAside {
  return async ({ dataSet, version }, chunks) => {
    await mkdir(folder, { recursive: true });
    const time = new Date(clock.wallMs()).toISOString().replaceAll(':', '-');
    const file = join(folder, `${encodeURIComponent(dataSet)}-${version}-${time}.snapshot`);
    // `flush`: the old copy is on disk before the new one replaces it.
    await pipeline(Readable.from(chunks), createWriteStream(file, { flags: 'wx', flush: true }));
  };
}
