import { Socket } from 'node:net'
import type { SendPart } from '../../model/fileRange.ts'
import type { Address, Connection, ConnectionHandler } from '../network.ts'
import type { Sender, SenderEvents } from './sender.ts'
import { networkError } from './systemErrors.ts'

/** How long a closed stream waits for the other side to read what is on its way to it. */
const lingerMs = 1000

/**
 * All sockets read into this memory: libuv asks for it, reads and hands it over within one call, and a chunk is
 * only valid during `ConnectionHandler.data`. A buffer of its own for every read costs an allocation of 64 KiB,
 * a buffer for every connection would cost that much for each idle one.
 */
const readBuffer = Buffer.allocUnsafeSlow(256 << 10)

/** What a socket reads to, and whom it tells; nobody as long as it is not yet anybody's. */
interface Reading {
  buffer: Uint8Array
  memory: (() => Uint8Array | null) | null
  data: ((chunk: Uint8Array) => void) | null
}

/** Options that make a socket read into the shared buffer, or what `reading.memory` gives, and tell `reading.data`. */
export function sharedReading(): {
  reading: Reading
  onread: { buffer: () => Uint8Array; callback: (bytes: number) => boolean }
} {
  const reading: Reading = { buffer: readBuffer, memory: null, data: null }
  const callback = (bytes: number): boolean => {
    reading.data?.(reading.buffer.subarray(0, bytes))
    return true
  }
  const buffer = (): Uint8Array => {
    reading.buffer = reading.memory?.() ?? readBuffer
    return reading.buffer
  }
  return { reading, onread: { buffer, callback } }
}

/** Undocumented parts of Node's sockets that are used here. */
interface HandleHolder {
  _handle: { useUserBuffer?(buffer: Uint8Array): void } | null
}

/**
 * A paused socket that reads into the shared buffer, around the handle of `accepted`, which must be paused and
 * is not usable afterwards. Node has no public way to accept a connection like that; null when it cannot be
 * done on this release.
 */
export function adoptHandle(accepted: Socket, reading: ReturnType<typeof sharedReading>): Socket | null {
  const holder = accepted as unknown as HandleHolder
  const handle = holder._handle
  if (handle === null || typeof handle !== 'object' || !('useUserBuffer' in handle)) return null
  holder._handle = null
  const options = { handle, allowHalfOpen: true, pauseOnCreate: true, onread: reading.onread }
  return new Socket(options as ConstructorParameters<typeof Socket>[0])
}

/** One TCP stream over a Node socket; bytes leave through the `Sender` it is made with. */
export class NodeConnection implements Connection {
  readonly remote: Address
  readonly #socket: Socket
  readonly #sender: Sender
  readonly #reading: Reading
  #handler: ConnectionHandler | null = null
  #error: Error | null = null
  #ended = false
  #finished = false

  constructor(
    socket: Socket,
    reading: Reading,
    createSender: (socket: Socket, events: SenderEvents) => Sender,
  ) {
    this.#socket = socket
    this.#reading = reading
    this.remote = { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
    socket.setNoDelay(true)
    this.#sender = createSender(socket, {
      drained: () => this.#handler?.drain(),
      failed: (error) => {
        this.#error ??= error
        this.destroy()
      },
    })
    socket.on('error', (error) => {
      this.#error ??= networkError(error, `the connection with ${this.remote.host}:${this.remote.port} broke`)
    })
    socket.on('end', () => {
      if (this.#ended) this.destroy()
      else this.#handler?.end()
    })
    socket.on('close', () => {
      this.#sender.close()
      this.#finished = true
      this.#reading.data = null
      this.#reading.memory = null
      this.#handler?.close(this.#error)
    })
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler
    if (this.#finished) {
      process.nextTick(() => handler.close(this.#error))
      return
    }
    this.#reading.data = (chunk) => {
      if (!this.#ended) handler.data(chunk)
    }
    if (handler.memory !== undefined) this.#reading.memory = () => handler.memory!()
    this.#socket.resume()
  }

  forgetMemory(): void {
    const reading = this.#reading
    if (reading.buffer === readBuffer) return
    reading.buffer = readBuffer
    const handle = (this.#socket as unknown as HandleHolder)._handle
    handle?.useUserBuffer?.(readBuffer)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  send(parts: readonly SendPart[]): void {
    if (!this.#ended && !this.#socket.destroyed) this.#sender.send(parts)
  }

  get keepsNothing(): boolean {
    return this.#sender.keepsNothing
  }

  get unsentBytes(): number {
    return this.#socket.destroyed ? 0 : this.#sender.unsentBytes
  }

  end(): void {
    if (this.#ended || this.#socket.destroyed) return
    this.#ended = true
    this.#sender.end(() => this.#linger())
  }

  destroy(): void {
    this.#sender.close()
    this.#socket.destroy()
  }

  /**
   * Says that no more comes and waits a moment for the other side to close. Closing with unread bytes in the
   * socket would reset the connection, and the last response could be lost on the other side.
   */
  #linger(): void {
    if (this.#socket.destroyed) return
    this.#socket.end()
    this.#socket.resume()
    const timer = setTimeout(() => this.destroy(), lingerMs)
    timer.unref()
    this.#socket.once('close', () => clearTimeout(timer))
    if (this.#socket.readableEnded) this.destroy()
  }
}
