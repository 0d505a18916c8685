import { InvariantError } from '../model/assert.ts'

/** Memory that a simulated disk has lent, which finds whoever changes bytes before they have been written. */
export class LentMemory {
  readonly #lent = new WeakSet<ArrayBufferLike>()
  readonly #changed: (error: InvariantError) => void

  /** `changed` is told of bytes that did not stay; by default nobody catches it, which ends every run. */
  constructor(changed: (error: InvariantError) => void = (error) => void Promise.reject(error)) {
    this.#changed = changed
  }

  /** `Disk.lend`. */
  lend(sizeBytes: number): Uint8Array {
    const memory = new Uint8Array(sizeBytes)
    this.#lent.add(memory.buffer)
    return memory
  }

  /** To be called once what was submitted for `path` has ended: `copy` is what `parts` held then, one after the other. */
  check(path: string, parts: readonly Uint8Array[], copy: Uint8Array): void {
    let at = 0
    for (const part of parts) {
      const before = copy.subarray(at, at + part.length)
      at += part.length
      if (!this.#lent.has(part.buffer) || Buffer.compare(part, before) === 0) continue
      this.#changed(new InvariantError(`lent memory was changed before it was written to ${path}`))
      return
    }
  }
}
