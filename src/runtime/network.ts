import type { SendPart } from '../model/fileRange.ts'

/** Byte streams between processes. Errors are `EngineError`s: `addressInUse`, `permissionDenied`, `networkException`. */
export interface Network {
  /** Listens; `accept` is called with each new connection, which reads nothing before `start`. */
  listen(address: Address, accept: (connection: Connection) => void): Promise<Listener>
  /** Connects; rejects with `networkException` after `timeoutMs`. */
  connect(address: Address, timeoutMs: number): Promise<Connection>
  /** How many connections there can be without taking the disk's descriptors; null or absent when nobody can tell. */
  readonly maxConnections?: number | null
}

/** Where to listen or connect. Port 0 listens on a free one. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** A listening socket. */
export interface Listener {
  /** The address that clients reach, with the real port. */
  readonly address: Address
  /** Accepts no more; open connections stay. */
  close(): Promise<void>
}

/** One stream. Bytes sent arrive in the order of `send`. */
export interface Connection {
  /** The other side, for messages. */
  readonly remote: Address
  /** Begins to read. Called once. */
  start(handler: ConnectionHandler): void
  /** Stops reading, until `resume`: back-pressure. */
  pause(): void
  resume(): void
  /**
   * Queues `parts`. The bytes may not change until they are sent; file ranges are read when it is their turn.
   * A range that turns out shorter than it says, or a read error, closes the connection. Ignored once closed.
   */
  send(parts: readonly SendPart[]): void
  /** Whether `send` has sent or copied all bytes when it returns, which may change from then on. */
  readonly keepsNothing?: boolean
  /** Reads into its own memory from now on, whatever `ConnectionHandler.memory` has given. */
  forgetMemory?(): void
  /** Bytes queued by `send` that the kernel has not taken. */
  readonly unsentBytes: number
  /** Sends what is queued, then closes. */
  end(): void
  /** Closes now. */
  destroy(): void
}

/** What a connection tells its owner. */
export interface ConnectionHandler {
  /** `chunk` is only valid during the call: the memory is used again for the next one. */
  data(chunk: Uint8Array): void
  /**
   * Where the next bytes shall be read to, which spares a copy; null for the connection's own memory. May be asked once for
   * every read, and holds for that read, which may come late: whoever needs the memory before calls `forgetMemory`.
   */
  memory?(): Uint8Array | null
  /** The other side sends no more. */
  end(): void
  /** `unsentBytes` has fallen to zero after a `send` could not be completed at once. */
  drain(): void
  /** Called once, last. `error` is null after an orderly close. */
  close(error: Error | null): void
}
