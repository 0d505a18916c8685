import { EngineError } from '../model/errors.ts'
import type { Disk, DiskWrite } from '../runtime/disk.ts'

/**
 * The appends of one log under the policy `append`: each is written and synced by itself, and the next one begins
 * when that has ended. After a failure everything that was queued behind it fails too.
 */
export class SoloWrites {
  readonly #disk: Disk
  #last: Promise<void> = Promise.resolve()
  #queued = 0
  #queuedBytes = 0

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** Queues one write, whose bytes are copied. Rejects with `queueFull` beyond what the disk would queue itself. */
  write(write: DiskWrite): Promise<void> {
    const bytes = Buffer.concat(write.parts)
    if (this.#queued > 0 && this.#queuedBytes + bytes.length > this.#disk.maxQueuedBytes) {
      return Promise.reject(new EngineError('queueFull', 'too many bytes wait for a sync of their own'))
    }
    this.#queued++
    this.#queuedBytes += bytes.length
    const written = this.#last.then(() => this.#disk.submit([{ ...write, parts: [bytes] }]))
    this.#last = written
    const settled = (): void => {
      this.#queued--
      this.#queuedBytes -= bytes.length
      // What comes after the failure was told is carried out again.
      if (this.#last === written) this.#last = Promise.resolve()
    }
    written.then(settled, settled)
    return written
  }
}
