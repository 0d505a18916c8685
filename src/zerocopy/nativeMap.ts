import { EngineError } from '../model/errors.ts'
import type { MappedFile } from '../runtime/disk.ts'
import type { EngineLink } from './engineLink.ts'

/** What the addon answers in place of a number of bytes. The numbers are those of `native/src/lib.rs`. */
const isCold = -1
const isGone = -2

/** A mapping of the addon. */
export class NativeMap implements MappedFile {
  readonly sizeBytes: number
  readonly #link: EngineLink
  readonly #path: string
  readonly #id: number
  #isOpen = true

  constructor(link: EngineLink, path: string, id: number) {
    this.#link = link
    this.#path = path
    this.#id = id
    this.sizeBytes = link.engine.mappedSize(id)
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  read(target: Uint8Array, position: number): number | null {
    if (!this.#isOpen) return null
    const count = this.#link.engine.readMapped(this.#id, target, position, false)
    if (count >= 0) return count
    if (count === isCold) return null
    if (count === isGone) {
      this.#isOpen = false
      return null
    }
    throw new EngineError('diskFailed', `a part of ${this.#path} cannot be read (mapped)`)
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#link.engine.unmap(this.#id)
  }
}
