import type { Random } from '../runtime/random.ts'

/** A seeded source of randomness: the same seed gives the same numbers everywhere. Source: Chris Doty-Humphrey, "sfc32". */
export class SimRandom implements Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = Math.floor(seed / 2 ** 32) | 0
    this.#c = 0x9e37_79b9 | 0
    for (let round = 0; round < 12; round++) this.next()
  }

  /** An unsigned 32-bit number. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  fill(target: Uint8Array): void {
    for (let at = 0; at < target.length; at++) target[at] = this.next() & 0xff
  }

  below(bound: number): number {
    return Math.floor((this.next() / 2 ** 32) * bound)
  }

  /** True once in 1 / `probability` times. */
  chance(probability: number): boolean {
    return this.next() < probability * 2 ** 32
  }

  /** One of `values`, which are not empty. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!
  }

  /** A source of its own, that drawing from this one does not change any more. */
  fork(): SimRandom {
    return new SimRandom(this.next() * 2 ** 20 + (this.next() & 0xfffff))
  }
}
