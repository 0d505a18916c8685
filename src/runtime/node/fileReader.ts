import { fstat, read } from 'node:fs'
import type { DescriptorTable } from './descriptors.ts'
import { diskError } from './systemErrors.ts'

/** Reads files through libuv's threads, so that a slow disk does not hold up the event loop. */
export class FileReader {
  readonly #descriptors: DescriptorTable

  constructor(descriptors: DescriptorTable) {
    this.#descriptors = descriptors
  }

  /** See `DiskFile.read`. */
  async read(path: string, target: Uint8Array, position: number): Promise<number> {
    return this.#use(path, 'read', async (fd) => {
      let filled = 0
      while (filled < target.length) {
        const count = await readOnce(fd, target, filled, position + filled)
        if (count === 0) break
        filled += count
      }
      return filled
    })
  }

  /** See `DiskFile.size`. */
  size(path: string): Promise<number> {
    return this.#use(path, 'look at', fileSize)
  }

  async #use<T>(path: string, verb: string, body: (fd: number) => Promise<T>): Promise<T> {
    try {
      const file = await this.#descriptors.acquire(path, false)
      try {
        return await body(file.fd)
      } finally {
        this.#descriptors.release(file)
      }
    } catch (cause) {
      throw diskError(cause, `cannot ${verb} ${path}`)
    }
  }
}

function readOnce(fd: number, target: Uint8Array, offset: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, target, offset, target.length - offset, position, (error, count) =>
      error ? reject(error) : resolve(count),
    )
  })
}

function fileSize(fd: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fstat(fd, (error, found) => (error ? reject(error) : resolve(found.size)))
  })
}
