/** Frames up to this size live in ordinary small buffers, which the collector handles best. */
export const smallestPooledBytes = 4096
/** Requests up to this size have a part of the memory to themselves. */
const largestSmallBytes = 64 * 1024

/** Bytes of one request, on loan. The memory is used again after `release`. */
export interface RequestBytes {
  /** Exactly as long as was asked for. */
  readonly bytes: Uint8Array
  /** Whether what is submitted of it is not copied: then it must not be given back before it is written. */
  readonly isLent: boolean
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
 * memory costs more than the copy into it. A quarter is for small requests alone, which so never stand behind a
 * large one. Whoever finds its part empty waits in that part's line: first come, first served. A request larger
 * than its whole part gets its memory once nothing else of the part is out.
 */
export class RequestPool {
  readonly capacityBytes: number
  readonly #maxFreeBytes: number
  readonly #lendMemory: ((sizeBytes: number) => Uint8Array) | null
  /** By their size; the size that was used last comes last. */
  readonly #free = new Map<number, Uint8Array[]>()
  readonly #small: Part
  readonly #large: Part
  #freeBytes = 0

  /**
   * `maxFreeBytes`, half of the capacity by default, bounds the memory kept for later until `trim`: that fresh memory comes
   * and goes tells the collector of pressure, which costs more than anything else about a large request. `lend` gives memory
   * for large requests. That of small ones is given back while the disk works, so that a disk which hangs holds none of it.
   */
  constructor(
    capacityBytes: number,
    maxFreeBytes: number = capacityBytes / 2,
    lend: ((sizeBytes: number) => Uint8Array) | null = null,
  ) {
    this.#lendMemory = lend
    this.capacityBytes = capacityBytes
    this.#maxFreeBytes = maxFreeBytes
    const smallBytes = Math.floor(capacityBytes / 4)
    this.#small = { capacityBytes: smallBytes, usedBytes: 0, waiting: [], isServing: false }
    this.#large = { capacityBytes: capacityBytes - smallBytes, usedBytes: 0, waiting: [], isServing: false }
  }

  /** Whether large requests lie in lent memory. */
  get lends(): boolean {
    return this.#lendMemory !== null
  }

  /** Bytes on loan. */
  get usedBytes(): number {
    return this.#small.usedBytes + this.#large.usedBytes
  }

  /** Bytes kept for the next requests. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /** Requests that wait for memory. */
  get waiting(): number {
    return this.#small.waiting.length + this.#large.waiting.length
  }

  /**
   * Memory for a request of `lengthBytes` that counts `weight` times as much, or null when its part of the pool is
   * empty or others are in line already.
   */
  take(lengthBytes: number, weight = 1): RequestBytes | null {
    const part = this.#partFor(lengthBytes)
    if (part.waiting.length > 0 || !fits(part, lengthBytes, weight)) return null
    return this.#lend(part, lengthBytes, weight)
  }

  /**
   * Whether there is so much that a request may get all its memory when it has only been announced: half of its
   * part is kept for requests that do arrive.
   */
  isPlentyFor(lengthBytes: number, weight: number): boolean {
    const part = this.#partFor(lengthBytes)
    if (part === this.#small) return true
    return part.usedBytes + classBytes(lengthBytes) * weight <= part.capacityBytes / 2
  }

  /** Stands in line. */
  wait(waiter: PoolWaiter): void {
    const part = this.#partFor(waiter.lengthBytes)
    part.waiting.push(waiter)
    this.#serve(part)
  }

  /** Leaves the line; no effect if the memory has been granted. */
  cancel(waiter: PoolWaiter): void {
    const part = this.#partFor(waiter.lengthBytes)
    const at = part.waiting.indexOf(waiter)
    if (at < 0) return
    part.waiting.splice(at, 1)
    this.#serve(part)
  }

  /** Lets go of the buffers that are kept for later, for when the load has gone. */
  trim(): void {
    this.#free.clear()
    this.#freeBytes = 0
  }

  #partFor(lengthBytes: number): Part {
    return lengthBytes <= largestSmallBytes ? this.#small : this.#large
  }

  #lend(part: Part, lengthBytes: number, weight: number): RequestBytes {
    const sizeBytes = classBytes(lengthBytes)
    part.usedBytes += sizeBytes * weight
    if (sizeBytes <= smallestPooledBytes) {
      return new Loan(this, Buffer.allocUnsafe(lengthBytes), null, part, sizeBytes, weight)
    }
    const whole = this.#takeKept(sizeBytes) ?? this.#allocate(sizeBytes)
    return new Loan(this, whole.subarray(0, lengthBytes), whole, part, sizeBytes, weight)
  }

  #allocate(sizeBytes: number): Uint8Array {
    if (this.#lendMemory === null || sizeBytes <= largestSmallBytes) return Buffer.allocUnsafeSlow(sizeBytes)
    const { buffer, byteOffset, length } = this.#lendMemory(sizeBytes)
    // In the form that small requests have: code that sees one form alone is faster.
    return Buffer.from(buffer, byteOffset, length)
  }

  /** A buffer that was kept of this size, else of one of the same part that is not much larger. */
  #takeKept(sizeBytes: number): Uint8Array | null {
    const mostBytes = sizeBytes <= largestSmallBytes ? largestSmallBytes : Number.POSITIVE_INFINITY
    const largest = Math.min(sizeBytes * 1.5, mostBytes)
    for (let size = sizeBytes; size <= largest; size = classBytes(size + 1)) {
      const whole = this.#free.get(size)?.pop()
      if (whole === undefined) continue
      this.#freeBytes -= size
      return whole
    }
    return null
  }

  /** Keeps a buffer for later in place of those whose size was used longest ago. */
  #keep(whole: Uint8Array): void {
    const sizeBytes = whole.length
    if (sizeBytes > this.#maxFreeBytes || this.usedBytes + sizeBytes > this.capacityBytes) return
    const list = this.#free.get(sizeBytes) ?? []
    this.#free.delete(sizeBytes)
    this.#free.set(sizeBytes, list)
    list.push(whole)
    this.#freeBytes += sizeBytes
    for (const [size, oldest] of this.#free) {
      while (this.#freeBytes > this.#maxFreeBytes && oldest.length > 0) {
        oldest.pop()
        this.#freeBytes -= size
      }
      if (this.#freeBytes <= this.#maxFreeBytes) return
    }
  }

  /** Called by a loan that ends. */
  takeBack(whole: Uint8Array | null, part: Part, sizeBytes: number, weight: number): void {
    part.usedBytes -= sizeBytes * weight
    if (whole) this.#keep(whole)
    if (part.waiting.length > 0) this.#serve(part)
  }

  #serve(part: Part): void {
    // A waiter may use and release its memory at once, which comes back here: the outer loop goes on then.
    if (part.isServing) return
    part.isServing = true
    try {
      for (let next = part.waiting[0]; next !== undefined; next = part.waiting[0]) {
        const { lengthBytes, weight } = next
        if (!fits(part, lengthBytes, weight)) break
        part.waiting.shift()
        next.granted(this.#lend(part, lengthBytes, weight))
      }
    } finally {
      part.isServing = false
    }
  }
}

/** A part of the pool, with a line of its own. */
interface Part {
  readonly capacityBytes: number
  usedBytes: number
  readonly waiting: PoolWaiter[]
  isServing: boolean
}

function fits(part: Part, lengthBytes: number, weight: number): boolean {
  return part.usedBytes === 0 || part.usedBytes + classBytes(lengthBytes) * weight <= part.capacityBytes
}

class Loan implements RequestBytes {
  bytes: Uint8Array
  readonly #pool: RequestPool
  readonly #part: Part
  readonly #sizeBytes: number
  readonly #weight: number
  #whole: Uint8Array | null
  #out = true

  constructor(
    pool: RequestPool,
    bytes: Uint8Array,
    whole: Uint8Array | null,
    part: Part,
    sizeBytes: number,
    weight: number,
  ) {
    this.#part = part
    this.#weight = weight
    this.bytes = bytes
    this.#pool = pool
    this.#whole = whole
    this.#sizeBytes = sizeBytes
  }

  get isLent(): boolean {
    return this.#pool.lends && this.#sizeBytes > largestSmallBytes
  }

  release(): void {
    if (!this.#out) return
    this.#out = false
    const whole = this.#whole
    // The loan may be remembered for longer than its memory; whoever looks again finds nothing.
    this.bytes = nothing
    this.#whole = null
    this.#pool.takeBack(whole, this.#part, this.#sizeBytes, this.#weight)
  }
}

const nothing = new Uint8Array(0)

/** The memory that a request of `lengthBytes` takes: the next of the sizes 1, 1.25, 1.5, 1.75 times a power of two. */
function classBytes(lengthBytes: number): number {
  if (lengthBytes <= smallestPooledBytes) return Math.max(lengthBytes, 256)
  const quarter = 2 ** (29 - Math.clz32(lengthBytes - 1))
  return Math.ceil(lengthBytes / quarter) * quarter
}
