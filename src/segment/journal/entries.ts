import { CorruptionError, EngineError } from '../../model/errors.ts'
import { type Uuid, uuidFromBytes, uuidToBytes } from '../../model/uuid.ts'
import { readInt64, readUint32, writeInt32, writeInt64 } from '../integers.ts'

/**
 * What the journal holds. Every entry names its log by id. An append at an offset that the log has already drops what was
 * there from that offset on.
 */
export type JournalEntry =
  | AppendEntry
  | TruncateEntry
  | { readonly type: 'truncated' | 'delete'; readonly logId: Uuid }
  | CreateEntry
  | { readonly type: 'startOffset'; readonly logId: Uuid; readonly offset: number }
  | StateEntry

/** One batch at its place in a segment. */
export interface AppendEntry {
  readonly type: 'append'
  readonly logId: Uuid
  readonly segmentBaseOffset: number
  /** Bytes from the start of the segment. */
  readonly position: number
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  readonly bytes: Uint8Array
  /** `logId` in the form that is stored. */
  readonly logIdBytes?: Uint8Array
}

/** The log is to end at `endOffset`, which lies at `position` of the segment. `truncated` says that this is done. */
export interface TruncateEntry {
  readonly type: 'truncate'
  readonly logId: Uuid
  readonly endOffset: number
  readonly segmentBaseOffset: number
  readonly position: number
}

/** A log exists from now on: the commit point of its creation. */
export interface CreateEntry {
  readonly type: 'create'
  readonly logId: Uuid
  readonly topicId: Uuid
  readonly name: string
}

/** Small state of a log: the last one per (log, kind) counts. `kind` is a number from 0 to 255. */
export interface StateEntry {
  readonly type: 'state'
  readonly logId: Uuid
  readonly kind: number
  readonly bytes: Uint8Array
}

const kinds = {
  append: 1,
  truncate: 2,
  truncated: 3,
  create: 4,
  delete: 5,
  startOffset: 6,
  state: 7,
} as const
/** What an append costs beside its bytes: kind, log, four int64, length. */
const appendHeaderBytes = 1 + 16 + 32 + 4
const longestNameBytes = 65_535

/** The bytes of an entry, without those that it only carries: they are `carriedBytes`, right after. */
export class EntryHeader {
  /** Valid up to `length`, until the next `encode`. */
  bytes = Buffer.alloc(128)
  length = 0
  readonly #ids = new Map<Uuid, Uint8Array>()

  /** Encodes `entry` into `bytes`. */
  encode(entry: JournalEntry): void {
    const { bytes } = this
    bytes[0] = kinds[entry.type]
    const known = entry.type === 'append' ? entry.logIdBytes : undefined
    bytes.set(known ?? this.#id(entry.logId), 1)
    this.length = 17
    switch (entry.type) {
      case 'append':
        writeInt64(bytes, 17, entry.segmentBaseOffset)
        writeInt64(bytes, 25, entry.position)
        writeInt64(bytes, 33, entry.baseOffset)
        writeInt64(bytes, 41, entry.lastOffset)
        writeInt32(bytes, 49, entry.bytes.length)
        this.length = appendHeaderBytes
        break
      case 'truncate':
        writeInt64(bytes, 17, entry.endOffset)
        writeInt64(bytes, 25, entry.segmentBaseOffset)
        writeInt64(bytes, 33, entry.position)
        this.length = 41
        break
      case 'create':
        this.#encodeCreate(entry)
        break
      case 'startOffset':
        writeInt64(bytes, 17, entry.offset)
        this.length = 25
        break
      case 'state':
        bytes[17] = entry.kind
        writeInt32(bytes, 18, entry.bytes.length)
        this.length = 22
        break
    }
  }

  #encodeCreate({ topicId, name }: CreateEntry): void {
    const nameBytes = Buffer.from(name)
    if (nameBytes.length > longestNameBytes)
      throw new EngineError('malformed', 'the name of a log is too long')
    const length = 35 + nameBytes.length
    if (this.bytes.length < length) this.bytes = Buffer.concat([this.bytes, Buffer.alloc(length)])
    this.bytes.set(this.#id(topicId), 17)
    this.bytes[33] = nameBytes.length >> 8
    this.bytes[34] = nameBytes.length
    this.bytes.set(nameBytes, 35)
    this.length = length
  }

  #id(uuid: Uuid): Uint8Array {
    let bytes = this.#ids.get(uuid)
    if (bytes === undefined) {
      bytes = uuidToBytes(uuid)
      if (this.#ids.size >= rememberedIds) this.#ids.clear()
      this.#ids.set(uuid, bytes)
    }
    return bytes
  }
}

/** How many ids are kept in both forms, since conversion costs more than all else about a small entry. */
const rememberedIds = 16_384

/** The bytes that follow an entry's header, or null. */
export function carriedBytes(entry: JournalEntry): Uint8Array | null {
  return entry.type === 'append' || entry.type === 'state' ? entry.bytes : null
}

/** An upper bound of what `entry` takes in a frame. */
export function entryBytes(entry: JournalEntry): number {
  if (entry.type === 'append' || entry.type === 'state') return appendHeaderBytes + entry.bytes.length
  return entry.type === 'create' ? 35 + 3 * entry.name.length : 41
}

/** Decodes the entries of a frame. Every length is checked against what remains before it is used. */
export class EntryReader {
  readonly #ids = new Map<string, Uuid>()

  /**
   * The entries in `payload`; the bytes that they carry are views of it. `file` and `position` say where it is from.
   * Throws `CorruptionError` when it does not consist of exactly `count` entries.
   */
  read(payload: Uint8Array, count: number, file: string, position: number): JournalEntry[] {
    const buffer = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
    const entries: JournalEntry[] = []
    const cursor = new Cursor(buffer, file, position)
    for (let at = 0; at < count; at++) entries.push(this.#next(cursor))
    if (cursor.at !== buffer.length) throw cursor.damaged('the end of the frame', 'more bytes')
    return entries
  }

  #next(cursor: Cursor): JournalEntry {
    const kind = cursor.uint8()
    const logId = this.#id(cursor)
    switch (kind) {
      case kinds.append:
        return {
          type: 'append',
          logId,
          segmentBaseOffset: cursor.int64(),
          position: cursor.int64(),
          baseOffset: cursor.int64(),
          lastOffset: cursor.int64(),
          bytes: cursor.take(cursor.uint32()),
        }
      case kinds.truncate:
        return {
          type: 'truncate',
          logId,
          endOffset: cursor.int64(),
          segmentBaseOffset: cursor.int64(),
          position: cursor.int64(),
        }
      case kinds.truncated:
        return { type: 'truncated', logId }
      case kinds.delete:
        return { type: 'delete', logId }
      case kinds.create: {
        const topicId = this.#id(cursor)
        return { type: 'create', logId, topicId, name: cursor.take(cursor.uint16()).toString() }
      }
      case kinds.startOffset:
        return { type: 'startOffset', logId, offset: cursor.int64() }
      case kinds.state: {
        const stateKind = cursor.uint8()
        return { type: 'state', logId, kind: stateKind, bytes: cursor.take(cursor.uint32()) }
      }
      default:
        throw cursor.damaged('a kind of entry', String(kind))
    }
  }

  #id(cursor: Cursor): Uuid {
    const bytes = cursor.take(16)
    const key = bytes.toString('latin1')
    let uuid = this.#ids.get(key)
    if (uuid === undefined) {
      uuid = uuidFromBytes(bytes)
      if (this.#ids.size >= rememberedIds) this.#ids.clear()
      this.#ids.set(key, uuid)
    }
    return uuid
  }
}

class Cursor {
  at = 0
  readonly #bytes: Buffer
  readonly #file: string
  readonly #position: number

  constructor(bytes: Buffer, file: string, position: number) {
    this.#bytes = bytes
    this.#file = file
    this.#position = position
  }

  take(length: number): Buffer {
    const left = this.#bytes.length - this.at
    if (length > left) throw this.damaged(`${length} bytes of an entry`, `${left}`)
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }

  uint8(): number {
    return this.take(1)[0]!
  }

  uint16(): number {
    return this.take(2).readUInt16BE()
  }

  uint32(): number {
    return readUint32(this.take(4), 0)
  }

  int64(): number {
    const value = readInt64(this.take(8), 0)
    if (!Number.isSafeInteger(value)) throw this.damaged('an exact int64', String(value))
    return value
  }

  damaged(expected: string, found: string): CorruptionError {
    return new CorruptionError({ file: this.#file, position: this.#position, expected, found })
  }
}
