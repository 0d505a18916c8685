import { readFrameSize } from './frames.ts'
import { type PoolWaiter, type RequestBytes, type RequestPool, smallestPooledBytes } from './requestPool.ts'

/** What a decoded request takes, in times of its bytes: a partition of a Fetch is 30 bytes and then an object or two. */
const decodedWeight = 8
/**
 * What a large request has to show before it gets all its memory, when there is not plenty. Small requests have memory
 * of their own, so whoever holds a first part waits for none that another holds for a first part.
 */
const firstPartBytes = 16 * 1024

/** Produce requests above this size are told of while they arrive. */
const streamedBytes = 256 * 1024
/** How much more of one has to arrive before it is told of again. */
const streamStepBytes = 128 * 1024

/** Less than that is not worth reading into the request's own memory, more than that is not read at once. */
const smallestReadBytes = 64 * 1024
const largestReadBytes = 1 << 20

/** Whoever reads a stream of requests. */
export interface RequestReaderOwner {
  /**
   * A large Produce request has all its memory, and the first `arrivedBytes` of it are there. Returns whether the memory has
   * been taken over: then it is not the reader's to release any more.
   */
  arriving(request: RequestBytes, arrivedBytes: number): boolean
  /** The request that was taken over while it arrived will never be whole. */
  abandoned(): void
  /** A whole request has arrived. */
  complete(request: RequestBytes): void
  /** The size field says something that no request has. */
  refused(sizeField: Uint8Array, lengthBytes: number, isFirst: boolean): void
  /** A request has its memory and begins to arrive. */
  opened(): void
  /** There is no memory for the request that begins: nothing may be read until `fed`. */
  starved(): void
  fed(): void
}

/**
 * Cuts a stream into requests: an int32 size, then as many bytes, copied into memory of the pool, since a chunk is
 * only valid during the call. Of a large request the API key is read before memory is asked for: a batch stays the
 * bytes that it is, anything else becomes objects, which count for more. A large one gets its memory at once only
 * while there is plenty; else it has to show a first part, so that announcing alone costs others nothing.
 */
export class RequestReader implements PoolWaiter {
  /** Of the memory that is asked for. */
  lengthBytes = 0
  weight = 1
  readonly #pool: RequestPool
  readonly #maxRequestBytes: number
  readonly #owner: RequestReaderOwner
  /** Size and API key. */
  readonly #field = new Uint8Array(6)
  #fieldBytes = 0
  #isFirst = true
  #request: RequestBytes | null = null
  #requestBytes = 0
  /** Of the whole request, of which `#request` may hold the first part alone. */
  #wholeBytes = 0
  #wholeWeight = 1
  /** When to tell of a request that arrives; infinite where nobody is told. */
  #tellAtBytes = Number.POSITIVE_INFINITY
  #isTakenOver = false

  constructor(pool: RequestPool, maxRequestBytes: number, owner: RequestReaderOwner) {
    this.#pool = pool
    this.#maxRequestBytes = maxRequestBytes
    this.#owner = owner
  }

  /** Whether a size has begun to arrive and is not complete. */
  get isInsideSize(): boolean {
    return this.#request === null && this.#fieldBytes > 0
  }

  /** Bytes that have arrived of a request that has its memory; -1 when there is none. */
  get arrivedBytes(): number {
    return this.#request === null ? -1 : this.#requestBytes
  }

  /** Where the next bytes of a large request go if they are read there directly; null when there is none. */
  get memory(): Uint8Array | null {
    const target = this.#request?.bytes
    if (target === undefined || target.length !== this.#wholeBytes) return null
    if (target.length - this.#requestBytes < smallestReadBytes) return null
    return target.subarray(this.#requestBytes, this.#requestBytes + largestReadBytes)
  }

  /** Takes bytes of `chunk` from `from` on, up to the end of at most one request; returns where it stopped. */
  read(chunk: Uint8Array, from: number): number {
    return this.#request === null ? this.#readSize(chunk, from) : this.#fill(chunk, from)
  }

  /** Gives back what has arrived of a request, and the place in line. */
  drop(): void {
    this.#pool.cancel(this)
    const request = this.#request
    this.#request = null
    if (this.#isTakenOver) this.#owner.abandoned()
    else request?.release()
    this.#isTakenOver = false
  }

  granted(request: RequestBytes): void {
    if (this.#request) this.#move(request)
    else this.#open(request)
    this.#owner.fed()
  }

  #readSize(chunk: Uint8Array, from: number): number {
    const field = this.#field
    let at = from
    while (this.#fieldBytes < 4 && at < chunk.length) field[this.#fieldBytes++] = chunk[at++]!
    if (this.#fieldBytes < 4) return at
    const lengthBytes = readFrameSize(field)
    if (lengthBytes < 0 || lengthBytes > this.#maxRequestBytes) {
      this.#owner.refused(field.subarray(0, 4), lengthBytes, this.#isFirst)
      return chunk.length
    }
    if (lengthBytes > smallestPooledBytes) {
      while (this.#fieldBytes < 6 && at < chunk.length) field[this.#fieldBytes++] = chunk[at++]!
      if (this.#fieldBytes < 6) return at
    }
    this.#begin(lengthBytes)
    return at
  }

  #begin(lengthBytes: number): void {
    const isProduce = this.#field[4] === 0 && this.#field[5] === 0
    this.#isFirst = false
    this.#wholeBytes = lengthBytes
    this.#wholeWeight = this.#fieldBytes === 4 || isProduce ? 1 : decodedWeight
    const isTold = isProduce && lengthBytes >= streamedBytes
    this.#tellAtBytes = isTold ? streamStepBytes : Number.POSITIVE_INFINITY
    if (this.#pool.isPlentyFor(lengthBytes, this.#wholeWeight)) {
      this.#ask(lengthBytes, this.#wholeWeight)
    } else {
      this.#ask(firstPartBytes, 1)
    }
    if (lengthBytes === 0 && this.#request) this.#complete()
  }

  #ask(lengthBytes: number, weight: number): void {
    this.lengthBytes = lengthBytes
    this.weight = weight
    const memory = this.#pool.take(lengthBytes, weight)
    if (memory === null) {
      this.#owner.starved()
      this.#pool.wait(this)
    } else if (this.#request) {
      this.#move(memory)
    } else {
      this.#open(memory)
    }
  }

  /** Goes on in larger memory. */
  #move(memory: RequestBytes): void {
    const first = this.#request!
    memory.bytes.set(first.bytes.subarray(0, this.#requestBytes))
    this.#request = memory
    first.release()
  }

  #open(request: RequestBytes): void {
    this.#request = request
    this.#requestBytes = this.#fieldBytes - 4
    for (let at = 0; at < this.#requestBytes; at++) request.bytes[at] = this.#field[4 + at]!
    this.#fieldBytes = 0
    this.#owner.opened()
  }

  #fill(chunk: Uint8Array, from: number): number {
    const target = this.#request!.bytes
    const count = Math.min(target.length - this.#requestBytes, chunk.length - from)
    const isThere =
      chunk.buffer === target.buffer && chunk.byteOffset + from === target.byteOffset + this.#requestBytes
    if (!isThere) {
      const isWhole = from === 0 && count === chunk.length
      target.set(isWhole ? chunk : chunk.subarray(from, from + count), this.#requestBytes)
    }
    this.#requestBytes += count
    if (this.#requestBytes === this.#wholeBytes) this.#complete()
    else if (target.length === this.#wholeBytes) this.#tell()
    else if (this.#requestBytes === target.length) this.#ask(this.#wholeBytes, this.#wholeWeight)
    return from + count
  }

  #tell(): void {
    if (this.#requestBytes < this.#tellAtBytes) return
    this.#tellAtBytes = this.#requestBytes + streamStepBytes
    const isTaken = this.#owner.arriving(this.#request!, this.#requestBytes)
    if (this.#request === null) return
    this.#isTakenOver = isTaken
    if (!isTaken) this.#tellAtBytes = Number.POSITIVE_INFINITY
  }

  #complete(): void {
    const request = this.#request!
    this.#request = null
    this.#isTakenOver = false
    this.#owner.complete(request)
  }
}
