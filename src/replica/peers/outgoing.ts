import { partBytes, type SendPart } from '../../model/fileRange.ts'
import type { Connection } from '../../runtime/network.ts'
import { replicaMemory } from '../leasedMemory.ts'

/** Above this nothing is held back for the rest of the turn. */
const mostHeldBytes = 64 * 1024

/** What leaves a connection in one turn leaves together. Leases among it are given back once they have left. */
export class Outgoing {
  readonly #socket: Connection
  #parts: SendPart[] = []
  #heldBytes = 0
  #isFlushing = false

  constructor(socket: Connection) {
    this.#socket = socket
  }

  /** Bytes that the other side has not taken. */
  get unsentBytes(): number {
    return this.#heldBytes + this.#socket.unsentBytes
  }

  /** Sends at the end of the turn, or now when it is much. */
  send(parts: readonly SendPart[]): void {
    for (const part of parts) {
      this.#parts.push(part)
      this.#heldBytes += partBytes(part)
    }
    if (this.#heldBytes > mostHeldBytes) this.flush()
    else if (!this.#isFlushing) {
      this.#isFlushing = true
      queueMicrotask(() => {
        this.#isFlushing = false
        this.flush()
      })
    }
  }

  /** Sends now. */
  flush(): void {
    if (this.#parts.length === 0) return
    const parts = this.#parts
    this.#parts = []
    this.#heldBytes = 0
    this.#socket.send(parts)
    if (!this.#socket.keepsNothing) return
    for (const part of parts) if (part instanceof Uint8Array) replicaMemory.giveBack(part)
  }

  /** Sends what is held back, then closes. */
  end(): void {
    this.flush()
    this.#socket.end()
  }

  /** Closes now. */
  destroy(): void {
    this.#parts = []
    this.#heldBytes = 0
    this.#socket.destroy()
  }
}
