import type { DiskFile } from '../../runtime/disk.ts'
import { blockBytes } from './blocks.ts'
import { isReadError, type ReadPatience } from './readPatience.ts'

const windowBytes = 1 << 20

/**
 * Reads one journal file from the front to the back, through a window. What cannot be read for longer than patience lasts, or
 * lies behind the end of the file, is zeros: no block that verifies.
 */
export class BlockReader {
  readonly #file: DiskFile
  readonly #sizeBytes: number
  readonly #patience: ReadPatience
  #window: Uint8Array
  #from = 0
  #to = 0

  /** `memory` is used for the window, which may be larger afterwards: `window`. */
  constructor(file: DiskFile, sizeBytes: number, patience: ReadPatience, memory: Uint8Array | null) {
    this.#file = file
    this.#sizeBytes = sizeBytes
    this.#patience = patience
    this.#window = memory ?? new Uint8Array(Math.min(windowBytes, Math.max(sizeBytes, blockBytes)))
  }

  get window(): Uint8Array {
    return this.#window
  }

  /** `length` bytes from `position` on, valid until the next call. Both are multiples of a block's size. */
  async read(position: number, length: number): Promise<Uint8Array> {
    if (position < this.#from || position + length > this.#to) await this.#fill(position, length)
    const at = position - this.#from
    return this.#window.subarray(at, at + length)
  }

  /** Forgets what has been read, since its memory was changed. */
  forget(): void {
    this.#to = this.#from
  }

  async #fill(position: number, length: number): Promise<void> {
    if (length > this.#window.length) this.#window = new Uint8Array(length)
    this.#from = position
    this.#to = position + this.#window.length
    const wanted = Math.max(0, Math.min(this.#window.length, this.#sizeBytes - position))
    const target = this.#window.subarray(0, wanted)
    const read = await this.#readOr(target, position)
    this.#window.fill(0, read)
  }

  /** Reads what can be read; blocks that cannot be, even alone, become zeros. */
  async #readOr(target: Uint8Array, position: number): Promise<number> {
    if (target.length === 0) return 0
    try {
      return await this.#file.read(target, position)
    } catch (error) {
      if (!isReadError(error)) throw error
    }
    for (let at = 0; at < target.length; at += blockBytes) {
      await this.#readBlock(target.subarray(at, at + blockBytes), position + at)
    }
    return target.length
  }

  async #readBlock(block: Uint8Array, position: number): Promise<void> {
    try {
      const read = await this.#patience.read(() => this.#file.read(block, position))
      block.fill(0, read)
    } catch (error) {
      if (!isReadError(error)) throw error
      block.fill(0)
    }
  }
}
