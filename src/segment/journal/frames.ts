import { blockStampBytes, type Checksum } from '../../runtime/checksum.ts'
import { readInt64, readUint32, writeInt32, writeInt64 } from '../integers.ts'
import { blockBytes, blockPayloadBytes, blocksFor, readStamp } from './blocks.ts'
import { carriedBytes, EntryHeader, type JournalEntry } from './entries.ts'

/** What a frame begins with, right after the stamp of its first block. */
export const frameHeaderBytes = 88
/** Full frames have about a megabyte: twice as much memory would be wasted on each. */
const mostGrowthBytes = 1 << 18
const magic = 0x43_57_46_31 // "CWF1"

/** What the header of a frame says; docs/format.md has the bytes. */
export interface FrameHeader {
  /** Bytes of entries. */
  readonly payloadBytes: number
  readonly entryCount: number
  readonly generation: number
  readonly sequence: number
  /** What `chainOf` gave for the frame before. */
  readonly chain: number
  /** Counts the starts of the node: frames of an earlier life from `lifeStart` of a later one on are dead. */
  readonly life: number
  /** The first sequence of this life. */
  readonly lifeStart: number
  /** Every frame up to here was durable when this one was written. */
  readonly flushedSequence: number
  /** In the last frame of a file: the generation of the file that goes on. Else 0. */
  readonly nextGeneration: number
  /** Where the frame begins, in bytes from the start of its file. */
  readonly position: number
}

/** How many blocks a frame with this header takes. */
export function frameBlocks(payloadBytes: number): number {
  return blocksFor(frameHeaderBytes + payloadBytes)
}

/** A checksum over the checksums of all blocks of a frame, which begins with the one of the frame before. */
export function chainOf(blocks: Uint8Array, chain: number, checksum: Checksum): number {
  const count = blocks.length / blockBytes
  const sums = count <= 64 ? smallSums.subarray(0, count * 4) : new Uint8Array(count * 4)
  for (let index = 0, at = 0; index < count; index++, at += 4) {
    const from = index * blockBytes
    sums[at] = blocks[from]!
    sums[at + 1] = blocks[from + 1]!
    sums[at + 2] = blocks[from + 2]!
    sums[at + 3] = blocks[from + 3]!
  }
  return checksum.crc32c(sums, chain)
}

const smallSums = new Uint8Array(64 * 4)

/** A frame that is being filled: the one copy of the entries' bytes that is made in JavaScript. Its memory is used again. */
export class FrameBuilder {
  readonly #header: EntryHeader
  readonly #allocate: (sizeBytes: number) => Uint8Array
  #blocks: Uint8Array
  /** Bytes of payload, the frame's header included. */
  #length = frameHeaderBytes
  #entryCount = 0

  /** `allocate` gives memory for blocks, whatever is in it. */
  constructor(
    capacityBlocks: number,
    header: EntryHeader = new EntryHeader(),
    allocate: (sizeBytes: number) => Uint8Array = (sizeBytes) => new Uint8Array(sizeBytes),
  ) {
    this.#allocate = allocate
    this.#blocks = allocate(capacityBlocks * blockBytes)
    this.#header = header
  }

  get entryCount(): number {
    return this.#entryCount
  }

  /** Bytes of entries. */
  get payloadBytes(): number {
    return this.#length - frameHeaderBytes
  }

  /** How many bytes the frame has on disk. */
  get sizeBytes(): number {
    return blocksFor(this.#length) * blockBytes
  }

  /** Bytes of memory that it keeps. */
  get capacityBytes(): number {
    return this.#blocks.length
  }

  /** Copies an entry. */
  add(entry: JournalEntry): void {
    const header = this.#header
    header.encode(entry)
    const carried = carriedBytes(entry)
    this.#reserve(header.length + (carried?.length ?? 0))
    this.#put(header.bytes, header.length)
    if (carried !== null) this.#put(carried, carried.length)
    this.#entryCount++
  }

  /** Finishes the frame and gives its blocks, which are valid until `clear`. */
  seal(
    header: Omit<FrameHeader, 'payloadBytes' | 'entryCount'>,
    journalId: Uint8Array,
    checksum: Checksum,
  ): Uint8Array {
    const { sizeBytes, payloadBytes, entryCount } = this
    const blocks = this.#blocks.subarray(0, sizeBytes)
    const lastBytes = this.#length % blockPayloadBytes
    // What an earlier frame left behind the end.
    if (lastBytes > 0) blocks.fill(0, sizeBytes - blockPayloadBytes + lastBytes)
    writeFrameHeader(blocks, { ...header, payloadBytes, entryCount }, journalId, checksum)
    checksum.sealBlocks(blocks, header.generation, header.sequence)
    return blocks
  }

  /** Begins a new frame in the same memory. */
  clear(): void {
    this.#length = frameHeaderBytes
    this.#entryCount = 0
  }

  #reserve(bytes: number): void {
    const needed = blocksFor(this.#length + bytes) * blockBytes
    if (needed <= this.#blocks.length) return
    let capacity = this.#blocks.length
    while (capacity < needed) capacity += Math.min(capacity, mostGrowthBytes)
    const larger = this.#allocate(capacity)
    larger.set(this.#blocks.subarray(0, this.sizeBytes))
    this.#blocks = larger
  }

  #put(bytes: Uint8Array, length: number): void {
    const blocks = this.#blocks
    let from = 0
    while (from < length) {
      const block = Math.floor(this.#length / blockPayloadBytes)
      const inBlock = this.#length - block * blockPayloadBytes
      const count = Math.min(length - from, blockPayloadBytes - inBlock)
      const part = from === 0 && count === bytes.length ? bytes : bytes.subarray(from, from + count)
      blocks.set(part, block * blockBytes + blockStampBytes + inBlock)
      this.#length += count
      from += count
    }
  }
}

function writeFrameHeader(
  blocks: Uint8Array,
  header: FrameHeader,
  journalId: Uint8Array,
  checksum: Checksum,
): void {
  const bytes = blocks.subarray(blockStampBytes, blockStampBytes + frameHeaderBytes)
  writeInt32(bytes, 0, magic)
  writeInt32(bytes, 8, header.payloadBytes)
  writeInt32(bytes, 12, header.entryCount)
  writeInt32(bytes, 16, header.generation)
  writeInt32(bytes, 20, header.nextGeneration)
  writeInt64(bytes, 24, header.sequence)
  writeInt64(bytes, 32, header.flushedSequence)
  writeInt64(bytes, 40, header.lifeStart)
  writeInt32(bytes, 48, header.life)
  writeInt32(bytes, 52, header.chain)
  writeInt64(bytes, 56, header.position)
  bytes.set(journalId, 64)
  writeInt64(bytes, 80, 0)
  writeInt32(bytes, 4, checksum.crc32c(bytes.subarray(8)))
}

/** The header of the frame that begins with the block at `at`; null when no frame of this journal does. */
export function readFrameHeader(
  bytes: Uint8Array,
  at: number,
  journalId: Uint8Array,
  checksum: Checksum,
): FrameHeader | null {
  const stamp = readStamp(bytes, at, checksum)
  if (stamp === null || stamp.index !== 0) return null
  const header = bytes.subarray(at + blockStampBytes, at + blockStampBytes + frameHeaderBytes)
  if (readUint32(header, 0) !== magic || readUint32(header, 4) !== checksum.crc32c(header.subarray(8)))
    return null
  for (let byte = 0; byte < 16; byte++) if (header[64 + byte] !== journalId[byte]) return null
  const found: FrameHeader = {
    payloadBytes: readUint32(header, 8),
    entryCount: readUint32(header, 12),
    generation: readUint32(header, 16),
    nextGeneration: readUint32(header, 20),
    sequence: readInt64(header, 24),
    flushedSequence: readInt64(header, 32),
    lifeStart: readInt64(header, 40),
    life: readUint32(header, 48),
    chain: readUint32(header, 52),
    position: readInt64(header, 56),
  }
  return found.generation === stamp.generation && found.sequence === stamp.sequence ? found : null
}

/** Whether the blocks after the first one belong to the frame with this header, and are whole. */
export function followsHeader(blocks: Uint8Array, header: FrameHeader, checksum: Checksum): boolean {
  for (let at = blockBytes, index = 1; at < blocks.length; at += blockBytes, index++) {
    const stamp = readStamp(blocks, at, checksum)
    if (stamp === null || stamp.index !== index) return false
    if (stamp.generation !== header.generation || stamp.sequence !== header.sequence) return false
  }
  return true
}

/** Moves the payload of a frame together, in its own memory, and gives the entries' bytes. The blocks are gone then. */
export function joinPayload(blocks: Uint8Array, payloadBytes: number): Uint8Array {
  let to = blockBytes
  for (let at = blockBytes; at < blocks.length; at += blockBytes) {
    blocks.copyWithin(to, at + blockStampBytes, at + blockBytes)
    to += blockPayloadBytes
  }
  const from = blockStampBytes + frameHeaderBytes
  return blocks.subarray(from, from + payloadBytes)
}
