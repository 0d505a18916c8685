import type { SendPart } from '../../../src/model/fileRange.ts'
import type { Address, Connection, ConnectionHandler, Network } from '../../../src/runtime/network.ts'

/** One side of a stream whose other side is the test. */
export class FakeConnection implements Connection {
  readonly remote: Address = { host: 'test', port: 1 }
  readonly sent: Uint8Array[] = []
  readonly keepsNothing = true
  unsentBytes = 0
  isClosed = false
  isPaused = false
  handler: ConnectionHandler | null = null

  start(handler: ConnectionHandler): void {
    this.handler = handler
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  send(parts: readonly SendPart[]): void {
    if (!this.isClosed) for (const part of parts) this.sent.push(Buffer.from(part as Uint8Array))
  }

  end(): void {
    this.destroy()
  }

  destroy(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.handler?.close(null)
  }

  /** Bytes arrive. */
  take(bytes: Uint8Array): void {
    if (!this.isClosed) this.handler!.data(bytes)
  }

  /** All that was sent, and not taken before. */
  takeSent(): Buffer {
    return Buffer.concat(this.sent.splice(0))
  }
}

/** A network in which the test is everybody else. */
export class FakeNetwork implements Network {
  /** Connections that were made to others, by port. */
  readonly made: FakeConnection[] = []
  #accept: ((connection: Connection) => void) | null = null

  async listen(address: Address, accept: (connection: Connection) => void) {
    this.#accept = accept
    return { address, close: async () => {} }
  }

  async connect(): Promise<Connection> {
    const connection = new FakeConnection()
    this.made.push(connection)
    return connection
  }

  /** Somebody connects. */
  arrive(): FakeConnection {
    const connection = new FakeConnection()
    this.#accept!(connection)
    return connection
  }
}
