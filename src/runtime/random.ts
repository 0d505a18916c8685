/** The only source of randomness. */
export interface Random {
  /** Overwrites `target` with random bytes. */
  fill(target: Uint8Array): void
  /** A whole number from 0 to `bound` - 1. `bound` is at most 2^32. */
  below(bound: number): number
}
