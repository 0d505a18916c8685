import type { Socket } from 'node:net'
import { EngineError } from '../../model/errors.ts'
import { type FileRange, partBytes, type SendPart } from '../../model/fileRange.ts'
import type { DiskFile } from '../disk.ts'

/** Puts the bytes of one connection on the wire, in order. */
export interface Sender {
  /** See `Connection.send`. */
  send(parts: readonly SendPart[]): void
  /** See `Connection.keepsNothing`. */
  readonly keepsNothing: boolean
  /** See `Connection.unsentBytes`. */
  readonly unsentBytes: number
  /** Calls `flushed` when everything queued has been handed to the kernel; nothing is sent after it. */
  end(flushed: () => void): void
  /** Drops what is queued and lets go of everything. */
  close(): void
}

/** What a sender tells its connection. */
export interface SenderEvents {
  /** Everything has been taken by the kernel, after a `send` that could not be completed at once. */
  drained(): void
  /** A part cannot be sent: the stream is broken and has to be closed. */
  failed(error: Error): void
}

/** How much of a file is held in memory on its way to the socket. */
const chunkBytes = 256 << 10

/** Sends through `socket.write`; reads file ranges into memory, a chunk at a time, as fast as the socket takes them. */
export class SocketSender implements Sender {
  readonly keepsNothing = false
  readonly #socket: Socket
  readonly #events: SenderEvents
  /** Parts from the first file range on that has not been sent. */
  #queue: SendPart[] = []
  #queuedBytes = 0
  #pumping = false
  #owesDrain = false
  #flushed: (() => void) | null = null
  #closed = false

  constructor(socket: Socket, events: SenderEvents) {
    this.#socket = socket
    this.#events = events
  }

  get unsentBytes(): number {
    return this.#queuedBytes + this.#socket.writableLength
  }

  send(parts: readonly SendPart[]): void {
    if (this.#closed || this.#flushed !== null) return
    for (const part of parts) {
      if (partBytes(part) === 0) continue
      this.#queue.push(part)
      this.#queuedBytes += partBytes(part)
    }
    if (!this.#pumping) void this.#pump()
    if (this.unsentBytes > 0) this.#owesDrain = true
  }

  end(flushed: () => void): void {
    this.#flushed = flushed
    this.#progress()
  }

  close(): void {
    this.#closed = true
    this.#queue = []
    this.#queuedBytes = 0
  }

  async #pump(): Promise<void> {
    this.#pumping = true
    while (!this.#closed && this.#queue.length > 0) {
      this.#writeBytes()
      const range = this.#queue[0]
      if (range === undefined || range instanceof Uint8Array) break
      try {
        await this.#writeRange(range)
      } catch (error) {
        this.#pumping = false
        if (!this.#closed) this.#events.failed(error as Error)
        return
      }
      this.#queue.shift()
    }
    this.#pumping = false
    this.#progress()
  }

  /** Writes the parts before the next file range, as one message. */
  #writeBytes(): void {
    let count = 0
    while (count < this.#queue.length && this.#queue[count] instanceof Uint8Array) count++
    if (count === 0) return
    const parts = this.#queue.splice(0, count) as Uint8Array[]
    if (count > 1) this.#socket.cork()
    for (const [at, part] of parts.entries()) {
      this.#queuedBytes -= part.length
      if (at === count - 1) this.#socket.write(part, () => this.#progress())
      else this.#socket.write(part)
    }
    if (count > 1) this.#socket.uncork()
  }

  async #writeRange(range: FileRange): Promise<void> {
    const file = range.file as DiskFile
    const buffer = Buffer.allocUnsafeSlow(Math.min(chunkBytes, range.lengthBytes))
    for (let sent = 0; sent < range.lengthBytes && !this.#closed; ) {
      const chunk = buffer.subarray(0, Math.min(buffer.length, range.lengthBytes - sent))
      const count = await file.read(chunk, range.position + sent)
      if (count < chunk.length) {
        throw new EngineError(
          'diskFailed',
          `${file.path} ends at byte ${range.position + sent + count}, inside a range that was to be sent`,
        )
      }
      if (this.#closed) return
      sent += count
      this.#queuedBytes -= count
      await this.#written(chunk)
    }
  }

  /** Resolves when the kernel has taken `chunk`, or the socket is gone. */
  #written(chunk: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.write(chunk, () => resolve())
    })
  }

  #progress(): void {
    if (this.#closed || this.#pumping || this.unsentBytes > 0) return
    if (this.#owesDrain) {
      this.#owesDrain = false
      this.#events.drained()
    }
    const flushed = this.#flushed
    if (flushed !== null && !this.#closed && this.unsentBytes === 0) {
      this.#closed = true
      flushed()
    }
  }
}
