/** Frames up to this size live in ordinary small buffers, which the collector handles best. */
export const smallestPooledBytes = 4096
/** Free buffers above this size are given back at once: they are rare, and holding them would be dear. */
const largestKeptBytes = 4 * 1024 * 1024

/** Bytes of one request, on loan. The memory is used again after `release`. */
export interface RequestBytes {
  /** Exactly as long as was asked for. */
  readonly bytes: Uint8Array
  /** Gives the bytes back; nothing may look at them afterwards. Harmless a second time. */
  release(): void
}

/** Asks for memory when there is some; `granted` is called at most once. */
export interface PoolWaiter {
  readonly lengthBytes: number
  /** How many times its length a request counts, for what becomes of it once it is decoded. */
  readonly weight: number
  granted(request: RequestBytes): void
}

/**
 * The memory of all requests in flight, bounded by `capacityBytes` (`queued.max.request.bytes`) whatever the
 * clients do. Buffers come in size classes, four to a doubling, and are used again, because touching fresh
 * memory costs more than the copy into it. Whoever finds the pool empty waits in line: first come, first
 * served, so that a large request is not starved by small ones. A request larger than the whole pool gets its
 * memory once nothing else is out.
 */
export class RequestPool {
  readonly capacityBytes: number
  readonly #maxFreeBytes: number
  readonly #free = new Map<number, Uint8Array[]>()
  readonly #waiting: PoolWaiter[] = []
  #usedBytes = 0
  #freeBytes = 0
  #serving = false

  /** `maxFreeBytes` bounds the memory kept for later while it is not in use. */
  constructor(capacityBytes: number, maxFreeBytes = 16 * 1024 * 1024) {
    this.capacityBytes = capacityBytes
    this.#maxFreeBytes = maxFreeBytes
  }

  /** Bytes on loan. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Bytes kept for the next requests. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /** Requests that wait for memory. */
  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * Memory for a request of `lengthBytes` that counts `weight` times as much, or null when the pool is empty or
   * others are in line already.
   */
  take(lengthBytes: number, weight = 1): RequestBytes | null {
    if (this.#waiting.length > 0 || !this.#fits(lengthBytes, weight)) return null
    return this.#lend(lengthBytes, weight)
  }

  /** Stands in line. */
  wait(waiter: PoolWaiter): void {
    this.#waiting.push(waiter)
    this.#serve()
  }

  /** Leaves the line; no effect if the memory has been granted. */
  cancel(waiter: PoolWaiter): void {
    const at = this.#waiting.indexOf(waiter)
    if (at < 0) return
    this.#waiting.splice(at, 1)
    this.#serve()
  }

  /** Lets go of the buffers that are kept for later, for when the load has gone. */
  trim(): void {
    this.#free.clear()
    this.#freeBytes = 0
  }

  #fits(lengthBytes: number, weight: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + classBytes(lengthBytes) * weight <= this.capacityBytes
  }

  #lend(lengthBytes: number, weight: number): RequestBytes {
    const sizeBytes = classBytes(lengthBytes)
    this.#usedBytes += sizeBytes * weight
    if (sizeBytes <= smallestPooledBytes) {
      return new Loan(this, Buffer.allocUnsafe(lengthBytes), null, sizeBytes, weight)
    }
    const kept = this.#free.get(sizeBytes)?.pop()
    if (kept) this.#freeBytes -= sizeBytes
    const whole = kept ?? Buffer.allocUnsafeSlow(sizeBytes)
    return new Loan(this, whole.subarray(0, lengthBytes), whole, sizeBytes, weight)
  }

  /** Called by a loan that ends. */
  takeBack(whole: Uint8Array | null, sizeBytes: number, weight: number): void {
    this.#usedBytes -= sizeBytes * weight
    if (whole && sizeBytes <= largestKeptBytes && this.#freeBytes + sizeBytes <= this.#maxFreeBytes) {
      const list = this.#free.get(sizeBytes)
      if (list) list.push(whole)
      else this.#free.set(sizeBytes, [whole])
      this.#freeBytes += sizeBytes
    }
    if (this.#waiting.length > 0) this.#serve()
  }

  #serve(): void {
    // A waiter may use and release its memory at once, which comes back here: the outer loop goes on then.
    if (this.#serving) return
    this.#serving = true
    try {
      for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
        const { lengthBytes, weight } = next
        if (!this.#fits(lengthBytes, weight)) break
        this.#waiting.shift()
        next.granted(this.#lend(lengthBytes, weight))
      }
    } finally {
      this.#serving = false
    }
  }
}

class Loan implements RequestBytes {
  bytes: Uint8Array
  readonly #pool: RequestPool
  readonly #sizeBytes: number
  readonly #weight: number
  #whole: Uint8Array | null
  #out = true

  constructor(
    pool: RequestPool,
    bytes: Uint8Array,
    whole: Uint8Array | null,
    sizeBytes: number,
    weight: number,
  ) {
    this.#weight = weight
    this.bytes = bytes
    this.#pool = pool
    this.#whole = whole
    this.#sizeBytes = sizeBytes
  }

  release(): void {
    if (!this.#out) return
    this.#out = false
    const whole = this.#whole
    // The loan may be remembered for longer than its memory; whoever looks again finds nothing.
    this.bytes = nothing
    this.#whole = null
    this.#pool.takeBack(whole, this.#sizeBytes, this.#weight)
  }
}

const nothing = new Uint8Array(0)

/** The memory that a request of `lengthBytes` takes: the next of the sizes 1, 1.25, 1.5, 1.75 times a power of two. */
function classBytes(lengthBytes: number): number {
  if (lengthBytes <= smallestPooledBytes) return Math.max(lengthBytes, 256)
  const quarter = 2 ** (29 - Math.clz32(lengthBytes - 1))
  return Math.ceil(lengthBytes / quarter) * quarter
}
