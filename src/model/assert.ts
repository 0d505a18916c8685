/** A broken invariant: a bug in cordwood, never bad input. The replica stops rather than lie. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Throws `InvariantError` unless `condition` holds. Always on. */
export function assert(condition: boolean, message = 'an invariant does not hold'): asserts condition {
  if (!condition) throw new InvariantError(message)
}

/** Marks a branch that the types say cannot be reached. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable: ${JSON.stringify(value)}`)
}
