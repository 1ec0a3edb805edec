/** A broken invariant is our own bug. It stays on in production: a node that is wrong stops before it spreads it. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) broken(message);
}

/** For checks on hot paths, whose text would cost more than the check: `if (…) broken(text)`. */
export function broken(message: string): never {
  throw new InvariantError(`invariant broken: ${message}`);
}

export function unreachable(value: never): never {
  throw new InvariantError(`unreachable: ${JSON.stringify(value)}`);
}
