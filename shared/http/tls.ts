import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import type { TlsFiles } from './server.js';

/** Throws `bad-option`, naming the flag, when one can't be read, when others may read the key, or when they don't fit. */
export function readTls(certPath: string, keyPath: string): TlsFiles {
  const cert = read('--http-tls-cert', certPath);
  const key = read('--http-tls-key', keyPath);
  const { mode } = statSync(keyPath);
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new LockstepError(
      'bad-option',
      `--http-tls-key ${keyPath} may be used by others than its owner (mode ${(mode & 0o777).toString(8)}); chmod 600 it`,
    );
  }
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new LockstepError(
      'bad-option',
      `--http-tls-cert ${certPath} and --http-tls-key ${keyPath} make no pair (${errorText(error)}); give PEM files of one certificate`,
      { cause: error },
    );
  }
  return { cert, key };
}

function read(flag: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new LockstepError('bad-option', `${flag} ${path} can't be read (${errorText(error)})`, { cause: error });
  }
}
