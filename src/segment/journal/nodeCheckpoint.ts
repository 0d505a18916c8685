import { CorruptionError, EngineError } from '../../model/errors.ts'
import { planted } from '../../model/planted.ts'
import { type Uuid, uuidFromBytes, uuidToBytes } from '../../model/uuid.ts'
import type { Checksum } from '../../runtime/checksum.ts'
import type { Runtime } from '../../runtime/runtime.ts'
import { readInt64, readUint32, writeInt32, writeInt64 } from '../integers.ts'
import type { ReadPatience } from './readPatience.ts'
import { writeInPieces } from './writeInPieces.ts'

/** What the node knows of all logs, beside which nothing of the journal below `replayFrom` is needed. */
export interface NodeCheckpoint {
  readonly logs: readonly LogCheckpoint[]
}

/** One log in a checkpoint. Offsets are those of `Log`. */
export interface LogCheckpoint {
  readonly id: Uuid
  readonly name: string
  readonly topicId: Uuid
  readonly recoveryPoint: number
  readonly logStartOffset: number
  readonly states: readonly LogState[]
  /** `identityOf` it, where that is known. */
  readonly identity?: Buffer
}

/** The last state of a kind, which the journal would otherwise have to keep. */
export interface LogState {
  readonly kind: number
  readonly bytes: Uint8Array
}

/** A frame's place, and all that is needed to go on from there. */
export interface JournalPlace {
  /** Of the frame that begins there. */
  readonly sequence: number
  readonly generation: number
  /** Bytes from the start of the file. */
  readonly position: number
  /** `chainOf` the frame before. */
  readonly chain: number
  readonly life: number
}

/** A checkpoint as it is stored. */
export interface StoredCheckpoint extends NodeCheckpoint {
  /** Counts the checkpoints; the higher one is valid. */
  readonly number: number
  readonly directoryId: Uint8Array
  readonly journalId: Uint8Array
  readonly replayFrom: JournalPlace
  /** Every frame up to here was durable. */
  readonly flushedSequence: number
  /** A file of this generation is in use, unless that is below `replayFrom.generation`. */
  readonly usedGeneration: number
  /** Written by a clean shutdown, as the last thing. */
  readonly clean: boolean
  /** Bits of the host, up to 15 bits, that hold for every log without a word of its own; 0 for nothing. */
  readonly doubts: number
}

const magic = 0x43_57_43_31 // "CWC1"
const headerBytes = 108
const bytesPerLog = 16 + 16 + 2 + 8 + 8 + 2

/** What of a log's bytes in a checkpoint never changes: its id, its topic's, its name. */
export function identityOf({ id, topicId, name }: LogCheckpoint): Buffer {
  return Buffer.concat([uuidToBytes(id), uuidToBytes(topicId), Buffer.from(name)])
}

/** Bytes of both ids. */
const idBytes = 32

/** The bytes of a checkpoint. */
export function encodeCheckpoint(checkpoint: StoredCheckpoint, checksum: Checksum): Uint8Array {
  const identities = checkpoint.logs.map((log) => log.identity ?? identityOf(log))
  let length = headerBytes
  for (const [at, { states }] of checkpoint.logs.entries()) {
    length += bytesPerLog - idBytes + identities[at]!.length
    for (const { bytes } of states) length += 5 + bytes.length
  }
  const target = Buffer.alloc(length)
  const { replayFrom } = checkpoint
  writeInt32(target, 0, magic)
  writeInt64(target, 8, length)
  writeInt64(target, 16, checkpoint.number)
  target.set(checkpoint.directoryId, 24)
  target.set(checkpoint.journalId, 40)
  writeInt64(target, 56, replayFrom.sequence)
  writeInt64(target, 64, replayFrom.position)
  writeInt32(target, 72, replayFrom.generation)
  writeInt32(target, 76, replayFrom.chain)
  writeInt32(target, 80, replayFrom.life)
  writeInt32(target, 84, (checkpoint.clean ? 1 : 0) | (checkpoint.doubts << 1))
  writeInt64(target, 88, checkpoint.flushedSequence)
  writeInt32(target, 96, checkpoint.logs.length)
  writeInt32(target, 100, checkpoint.usedGeneration)
  let at = headerBytes
  for (const [index, log] of checkpoint.logs.entries()) {
    const identity = identities[index]!
    const nameBytes = identity.length - idBytes
    identity.copy(target, at, 0, idBytes)
    writeInt64(target, at + 32, log.recoveryPoint)
    writeInt64(target, at + 40, log.logStartOffset)
    target.writeUInt16BE(nameBytes, at + 48)
    target.writeUInt16BE(log.states.length, at + 50)
    identity.copy(target, at + bytesPerLog, idBytes)
    at += bytesPerLog + nameBytes
    for (const { kind, bytes } of log.states) {
      target[at] = kind
      writeInt32(target, at + 1, bytes.length)
      target.set(bytes, at + 5)
      at += 5 + bytes.length
    }
  }
  writeInt32(target, 4, checksum.crc32c(target.subarray(8)))
  return target
}

/** Reads a checkpoint; null when the bytes are none that is whole. Bytes behind it are ignored. */
export function decodeCheckpoint(bytes: Uint8Array, checksum: Checksum): StoredCheckpoint | null {
  if (bytes.length < headerBytes || readUint32(bytes, 0) !== magic) return null
  const length = readInt64(bytes, 8)
  if (length < headerBytes || length > bytes.length) return null
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, length)
  if (checksum.crc32c(source.subarray(8)) !== readUint32(source, 4)) return null
  const logs: LogCheckpoint[] = []
  const count = readUint32(source, 96)
  let at = headerBytes
  for (let index = 0; index < count; index++) {
    if (at + bytesPerLog > length) return null
    const nameLength = source.readUInt16BE(at + 48)
    const stateCount = source.readUInt16BE(at + 50)
    const nameAt = at + bytesPerLog
    let next = nameAt + nameLength
    const states: LogState[] = []
    for (let state = 0; state < stateCount; state++) {
      if (next + 5 > length) return null
      const stateBytes = readUint32(source, next + 1)
      if (next + 5 + stateBytes > length) return null
      states.push({ kind: source[next]!, bytes: source.subarray(next + 5, next + 5 + stateBytes) })
      next += 5 + stateBytes
    }
    if (next > length) return null
    logs.push({
      id: uuidFromBytes(source.subarray(at, at + 16)),
      topicId: uuidFromBytes(source.subarray(at + 16, at + 32)),
      recoveryPoint: readInt64(source, at + 32),
      logStartOffset: readInt64(source, at + 40),
      name: source.toString('utf8', nameAt, nameAt + nameLength),
      states,
    })
    at = next
  }
  const flags = readUint32(source, 84)
  return {
    number: readInt64(source, 16),
    directoryId: Uint8Array.from(source.subarray(24, 40)),
    journalId: Uint8Array.from(source.subarray(40, 56)),
    replayFrom: {
      sequence: readInt64(source, 56),
      position: readInt64(source, 64),
      generation: readUint32(source, 72),
      chain: readUint32(source, 76),
      life: readUint32(source, 80),
    },
    clean: (flags & 1) === 1,
    doubts: (flags >> 1) & 0x7fff,
    flushedSequence: readInt64(source, 88),
    usedGeneration: readUint32(source, 100),
    logs,
  }
}

/** The names of the two files. */
export const checkpointNames = ['checkpoint-0', 'checkpoint-1'] as const

/** Room is kept in steps of this many bytes, so that a checkpoint can be stored on a full disk. */
const roomBytes = 64 << 10
const largestBytes = 1 << 30

/**
 * The two files of the checkpoint. Both are written each time, one after the other and in place, so that one is whole
 * whatever happens, and either one alone is enough.
 */
export class CheckpointFiles {
  readonly #runtime: Runtime
  readonly #paths: readonly [string, string]
  /** Which file is written first: the one that is not needed. */
  #first = 0
  readonly #capacity: [number, number] = [0, 0]

  constructor(runtime: Runtime, directory: string) {
    this.#runtime = runtime
    const [first, second] = checkpointNames
    this.#paths = [`${directory}/${first}`, `${directory}/${second}`]
  }

  /** The valid checkpoint, null when neither file is one; `damaged` names files that are there and are not. */
  async read(patience: ReadPatience): Promise<{
    readonly checkpoint: StoredCheckpoint | null
    readonly damaged: readonly string[]
  }> {
    let checkpoint: StoredCheckpoint | null = null
    const damaged: string[] = []
    for (const [index, path] of this.#paths.entries()) {
      const bytes = await this.#bytesOf(path, patience)
      if (bytes === null) continue
      this.#capacity[index] = bytes.length
      const found = decodeCheckpoint(bytes, this.#runtime.checksum)
      if (found === null) damaged.push(path)
      else if (checkpoint === null || found.number > checkpoint.number) {
        checkpoint = found
        this.#first = 1 - index
      }
    }
    return { checkpoint, damaged }
  }

  /** Stores a checkpoint in both files, durably. */
  async write(checkpoint: StoredCheckpoint): Promise<void> {
    const bytes = encodeCheckpoint(checkpoint, this.#runtime.checksum)
    const order = [this.#first, 1 - this.#first]
    if (planted('checkpointCopiesBothWritten')) {
      await Promise.all(order.map((index) => this.#writeTo(index, bytes)))
    }
    for (const index of order) await this.#writeTo(index, bytes)
  }

  async #writeTo(index: number, bytes: Uint8Array): Promise<void> {
    const { disk } = this.#runtime
    const path = this.#paths[index]!
    let content = bytes
    if (bytes.length > this.#capacity[index]!) {
      content = new Uint8Array(Math.ceil((bytes.length * 1.5) / roomBytes) * roomBytes)
      content.set(bytes)
    }
    const file = disk.file(path)
    try {
      await writeInPieces(disk, file, 0, content, 'dataAndName')
    } catch (error) {
      // The next attempt writes all of it again, so it may begin without the failure that a descriptor remembers.
      await file.close()
      throw error
    }
    this.#capacity[index] = Math.max(this.#capacity[index]!, content.length)
    this.#first = 1 - index
  }

  async #bytesOf(path: string, patience: ReadPatience): Promise<Uint8Array | null> {
    try {
      return await patience.read(() => this.#runtime.disk.readFile(path, largestBytes))
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      if (error.code === 'notFound') return null
      // A sector that cannot be read: the other file counts.
      if (error.code === 'diskFailed' || error.code === 'unsupportedFormat') return new Uint8Array()
      throw error
    }
  }
}

/** The error for a journal whose two checkpoints are both unusable: nobody can tell any more what it covers. */
export function lostCheckpoint(directory: string): CorruptionError {
  return new CorruptionError({
    file: `${directory}/checkpoint-0`,
    position: 0,
    expected: 'a checkpoint in one of two files',
    found: 'none that is whole',
  })
}
