import type { Socket } from 'node:net'
import { EngineError } from '../model/errors.ts'
import type { FileRange, SendPart } from '../model/fileRange.ts'
import { type Sender, type SenderEvents, SocketSender } from '../runtime/node/sender.ts'
import { networkError } from '../runtime/node/systemErrors.ts'
import { Stage } from './addon.ts'
import { type EngineLink, systemError } from './engineLink.ts'
import { type NativeDisk, NativeFile } from './nativeDisk.ts'
import { putRange, rangeNumbers } from './rangePlan.ts'

/** Used again for every message: three numbers a part. */
let plan = new Float64Array(rangeNumbers * 64)

/** The sender for `socket`: the addon's, or Node's where there is no descriptor to duplicate or none left for that. */
export function createSender(
  link: EngineLink,
  disk: NativeDisk,
  socket: Socket,
  events: SenderEvents,
): Sender {
  const descriptor = (socket as { _handle?: { fd?: number } | null })._handle?.fd
  if (descriptor !== undefined && descriptor >= 0) {
    try {
      return new NativeSender(link, disk, descriptor, events)
    } catch {
      // There is no descriptor left for the duplicate; the connection works without it.
    }
  }
  return new SocketSender(socket, events)
}

/** Sends through a duplicate of the socket's descriptor; nothing may be written to the socket itself. */
class NativeSender implements Sender {
  readonly keepsNothing = true
  readonly #link: EngineLink
  readonly #disk: NativeDisk
  readonly #events: SenderEvents
  readonly #id: number
  /** The addon has bytes queued, as far as is known here. */
  #queued = false
  #flushed: (() => void) | null = null
  #closed = false

  constructor(link: EngineLink, disk: NativeDisk, descriptor: number, events: SenderEvents) {
    this.#link = link
    this.#disk = disk
    this.#events = events
    this.#id = link.engine.attach(descriptor)
    link.watch(this.#id, (errno, file, stage) => this.#happened(errno, file, stage))
  }

  get unsentBytes(): number {
    return this.#queued ? this.#link.engine.unsent(this.#id) : 0
  }

  send(parts: readonly SendPart[]): void {
    if (this.#closed || this.#flushed !== null) return
    const { engine } = this.#link
    const first = parts[0]
    try {
      const unsent =
        parts.length === 1 && first instanceof Uint8Array
          ? engine.sendBytes(this.#id, first)
          : this.#sendParts(parts)
      if (unsent > 0) this.#queued = true
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== 'closed') throw error
      // The disk has been closed, and a stream that lacks a part is of no use.
      this.#events.failed(error)
    }
  }

  end(flushed: () => void): void {
    if (this.#closed) return
    if (this.#link.engine.end(this.#id)) flushed()
    else this.#flushed = flushed
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#queued = false
    this.#link.unwatch(this.#id)
    this.#link.engine.detach(this.#id, true)
  }

  #sendParts(parts: readonly SendPart[]): number {
    const numbers = parts.length * rangeNumbers
    if (numbers > plan.length) plan = new Float64Array(2 * numbers)
    const bytes: Uint8Array[] = []
    let at = 0
    for (const part of parts) {
      if (part instanceof Uint8Array) {
        bytes.push(part)
        plan[at] = 0
      } else putRange(plan, at, this.#fileId(part), part)
      at += rangeNumbers
    }
    return this.#link.engine.send(this.#id, plan, parts.length, bytes)
  }

  #fileId(range: FileRange): number {
    const { file } = range
    if (!(file instanceof NativeFile) || file.disk !== this.#disk) {
      throw new EngineError('notFound', `${file.path} belongs to another disk than this network`)
    }
    return this.#disk.fileId(file)
  }

  #happened(errno: number, file: number, stage: number): void {
    if (this.#closed) return
    if (stage === Stage.drained || stage === Stage.flushed) {
      // More may have been queued since the event was on its way; its own event follows.
      if (this.#link.engine.unsent(this.#id) > 0) return
      this.#queued = false
      this.#events.drained()
      const flushed = this.#flushed
      if (stage === Stage.flushed && flushed !== null && !this.#closed) {
        this.#flushed = null
        flushed()
      }
    } else if (stage === Stage.socketFailed) {
      this.#events.failed(networkError(systemError(errno), 'cannot send'))
    } else if (stage === Stage.rangeFailed) {
      this.#events.failed(this.#disk.rangeFailure(errno, file, 'send'))
    } else if (stage === Stage.rangeDamaged) {
      this.#events.failed(
        new EngineError('corruptLog', 'a range of a file was damaged when it was to be sent'),
      )
    } else {
      this.#events.failed(new EngineError('diskFailed', 'a file ends inside a range that was to be sent'))
    }
  }
}
