import { planted } from '../model/planted.ts'
import { BatchHeader } from '../segment/recordBatch.ts'
import { replicaMemory } from './leasedMemory.ts'

/** Batches that are smaller on average go in one piece. */
const largeBytes = 16 << 10

/** A write of the core that is not durable yet. */
export interface Pending {
  readonly sequence: number
  isDone: boolean
}

/** A batch that is not flushed yet. */
export interface UnflushedBatch {
  readonly header: BatchHeader
  readonly bytes: Uint8Array
  /** Done once the last batch of its append is flushed; null for the others. */
  readonly pending: Pending | null
  /** The lease of its append's memory, of the last batch; null for the others. */
  readonly lease: Uint8Array | null
  /** Whether the log has it; without that it waits for room. */
  isPlaced: boolean
  /** Cut off again before it was flushed. */
  isDropped: boolean
}

/**
 * The end of a log in memory: what was appended and is not flushed. Others may fetch it before it is, and it is appended again
 * should the disk have had no room for it.
 */
export class Unflushed {
  #batches: UnflushedBatch[] = []
  #bytes = 0
  #lastRead: {
    readonly fromOffset: number
    readonly toOffset: number
    readonly parts: readonly Uint8Array[]
  } | null = null

  /** Bytes of all of them. */
  get bytes(): number {
    return this.#bytes
  }

  /** Where the first one begins, infinite when there is none. */
  get firstOffset(): number {
    return this.#batches[0]?.header.baseOffset ?? Number.POSITIVE_INFINITY
  }

  /** Takes one or more batches, whose bytes must stay as they are; what was made of them. */
  add(bytes: Uint8Array, pending: Pending): readonly UnflushedBatch[] {
    const added: UnflushedBatch[] = []
    const lease = replicaMemory.share(bytes)
    for (let at = 0; at < bytes.length; ) {
      const header = new BatchHeader(bytes, at)
      const end = at + header.sizeBytes
      const isLast = end >= bytes.length
      added.push({
        header,
        bytes: at === 0 && isLast ? bytes : bytes.subarray(at, end),
        pending: isLast ? pending : null,
        lease: isLast ? lease : null,
        isPlaced: false,
        isDropped: false,
      })
      at = end
    }
    this.#batches.push(...added)
    this.#bytes += bytes.length
    return added
  }

  /** Everything that the log has below `flushedOffset` is flushed. */
  flushed(flushedOffset: number): void {
    const batches = this.#batches
    let count = 0
    while (count < batches.length) {
      const batch = batches[count]!
      if (!batch.isPlaced || batch.header.lastOffset >= flushedOffset) break
      this.#leave(batch)
      // All of its append is on the disk, and nothing of it is on its way there any more.
      if (batch.lease !== null) replicaMemory.giveBack(batch.lease)
      count++
    }
    if (count === 0) return
    batches.splice(0, count)
    this.#forgetRead()
  }

  /** Forgets batches from `endOffset` on: the log is cut there. Nobody waits for them any more. */
  cut(endOffset: number): void {
    this.#forgetRead()
    while (this.#batches.length > 0 && this.#batches.at(-1)!.header.baseOffset >= endOffset) {
      const batch = this.#batches.pop()!
      batch.isDropped = true
      this.#leave(batch)
    }
  }

  /** The batches that the log had from `endOffset` on and has undone; they are no longer placed. */
  undone(endOffset: number): readonly UnflushedBatch[] {
    const undone = this.#batches.filter(({ isPlaced, header }) => isPlaced && header.baseOffset >= endOffset)
    for (const batch of undone) batch.isPlaced = false
    return undone
  }

  /**
   * Whole batches from the one that holds `fromOffset`, at most `maxBytes` of them but at least one; none if it is not here.
   * Followers that ask for the same get the same memory, each with leases of its own.
   */
  read(fromOffset: number, toOffset: number, maxBytes: number): readonly Uint8Array[] {
    const last = this.#lastRead
    if (last !== null && last.fromOffset === fromOffset && last.toOffset === toOffset)
      return planted('leaseGivenBackEarly') ? last.parts : last.parts.map(share)
    const found = this.#find(fromOffset, toOffset, maxBytes)
    const parts = inFewPieces(found)
    this.#forgetRead()
    this.#lastRead = { fromOffset, toOffset, parts }
    return planted('leaseGivenBackEarly') ? parts : parts.map(share)
  }

  #forgetRead(): void {
    const last = this.#lastRead
    if (last === null) return
    this.#lastRead = null
    for (const part of last.parts) replicaMemory.giveBack(part)
  }

  #find(fromOffset: number, toOffset: number, maxBytes: number): Uint8Array[] {
    const batches = this.#batches
    let low = 0
    let high = batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (batches[middle]!.header.lastOffset < fromOffset) low = middle + 1
      else high = middle
    }
    if (low < batches.length && batches[low]!.header.baseOffset > fromOffset) return []
    const found: Uint8Array[] = []
    let bytes = 0
    for (let index = low; index < batches.length; index++) {
      const batch = batches[index]!
      if (batch.header.lastOffset >= toOffset || (found.length > 0 && bytes + batch.bytes.length > maxBytes))
        break
      found.push(batch.bytes)
      bytes += batch.bytes.length
    }
    return found
  }

  #leave({ bytes, pending }: UnflushedBatch): void {
    this.#bytes -= bytes.length
    if (pending !== null) pending.isDone = true
  }
}

const share = (part: Uint8Array): Uint8Array => replicaMemory.share(part)

/** Leases of `found`, or of one copy of all of it where there are many small ones. */
function inFewPieces(found: readonly Uint8Array[]): readonly Uint8Array[] {
  const bytes = found.reduce((sum, { length }) => sum + length, 0)
  if (found.length < 2 || bytes >= found.length * largeBytes) return found.map(share)
  const all = replicaMemory.take(bytes)
  let at = 0
  for (const each of found) {
    all.set(each, at)
    at += each.length
  }
  return [all]
}
