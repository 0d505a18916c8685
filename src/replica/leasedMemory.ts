/** Less than this is ordinary memory, which the collector handles best. */
const smallestKeptBytes = 16 << 10
/** More than this is given up at once: it is rare, and holding it would be dear. */
const largestKeptBytes = 16 << 20
/** How much is kept for later while it is not in use. */
const mostKeptBytes = 48 << 20
/** What is written over memory that nobody has a lease of, where that is looked for. */
const poison = 0xdb

interface Slab {
  readonly whole: Uint8Array
  leases: number
}

/**
 * Memory of frames, appends and answers that is used again, since the coming and going of much of it has the collector run all the
 * time. It is used again once every lease was given back; whoever forgets one leaves the memory to the collector, which does no
 * harm. So nobody has to give back what is dropped on an unusual way, and only what is given back has to be thought about: nothing
 * made from that lease, or looked at under it, may be looked at afterwards.
 */
export class LeasedMemory {
  readonly #slabs = new WeakMap<ArrayBufferLike, Slab>()
  /** By the array that is the lease. One that was given back is no lease any more. */
  readonly #leases = new WeakMap<Uint8Array, Slab>()
  /** By size. */
  readonly #free = new Map<number, Slab[]>()
  #freeBytes = 0
  #smallestBytes = smallestKeptBytes
  #isPoisoning = false
  #lend: ((sizeBytes: number) => Uint8Array) | null = null
  /** Nothing was taken since `trimIdle`. */
  #isIdle = true

  /** Bytes kept for later. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /**
   * New memory comes from the disk that will write it, which then makes no copy. Null for ordinary memory. Leases have to last
   * as long as `Disk.lend` says.
   */
  comeFrom(lend: ((sizeBytes: number) => Uint8Array) | null): void {
    this.#lend = lend
  }

  /** From now on all memory is leased, and written over when its last lease ends: whoever looks too late finds no sense. */
  poison(): void {
    this.#isPoisoning = true
    this.#smallestBytes = 0
  }

  /** A lease of `sizeBytes` of memory, whose content is whatever was there. */
  take(sizeBytes: number): Uint8Array {
    if (sizeBytes < this.#smallestBytes) {
      return sizeBytes < 4096 ? Buffer.allocUnsafe(sizeBytes) : Buffer.allocUnsafeSlow(sizeBytes)
    }
    this.#isIdle = false
    const slab = this.#takeFree(classBytes(sizeBytes)) ?? this.#make(classBytes(sizeBytes))
    return this.#lease(slab, 0, sizeBytes)
  }

  /** Another lease of `bytes`, which are under one; the same bytes where they are no leased memory. */
  share(bytes: Uint8Array): Uint8Array {
    const slab = this.#slabs.get(bytes.buffer)
    return slab === undefined ? bytes : this.#lease(slab, bytes.byteOffset, bytes.length)
  }

  /** Ends a lease, that very array; no effect on anything else, nor a second time. */
  giveBack(lease: Uint8Array): void {
    const slab = this.#leases.get(lease)
    if (slab === undefined) return
    this.#leases.delete(lease)
    slab.leases--
    if (slab.leases > 0) return
    const { whole } = slab
    if (this.#isPoisoning) whole.fill(poison)
    if (whole.length > largestKeptBytes || this.#freeBytes + whole.length > mostKeptBytes) return
    const sameSize = this.#free.get(whole.length)
    if (sameSize === undefined) this.#free.set(whole.length, [slab])
    else sameSize.push(slab)
    this.#freeBytes += whole.length
  }

  /** Lets go of what is kept for later, if nothing was taken since this was called last. */
  trimIdle(): void {
    if (this.#isIdle) {
      this.#free.clear()
      this.#freeBytes = 0
    }
    this.#isIdle = true
  }

  #make(sizeBytes: number): Slab {
    const whole = this.#lend?.(sizeBytes) ?? Buffer.allocUnsafeSlow(sizeBytes)
    const slab = { whole, leases: 0 }
    this.#slabs.set(whole.buffer, slab)
    return slab
  }

  #lease(slab: Slab, at: number, sizeBytes: number): Uint8Array {
    const { buffer } = slab.whole
    const lease = Buffer.from(buffer as ArrayBuffer, at, sizeBytes)
    slab.leases++
    this.#leases.set(lease, slab)
    return lease
  }

  /** Memory that was kept of this size, else of one that is not much larger. */
  #takeFree(sizeBytes: number): Slab | null {
    for (let size = sizeBytes; size <= sizeBytes * 2; size = classBytes(size + 1)) {
      const slab = this.#free.get(size)?.pop()
      if (slab === undefined) continue
      this.#freeBytes -= size
      return slab
    }
    return null
  }
}

/** The memory of all replicas of the process. */
export const replicaMemory = new LeasedMemory()

/** The next of the sizes 1, 1.25, 1.5, 1.75 times a power of two, at least 256. */
function classBytes(sizeBytes: number): number {
  if (sizeBytes <= 256) return 256
  const quarter = 2 ** (29 - Math.clz32(sizeBytes - 1))
  return Math.ceil(sizeBytes / quarter) * quarter
}
