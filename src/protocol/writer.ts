import type { SendPart } from '../model/fileRange.ts'
import { type Uuid, uuidToBytes, zeroUuid } from '../model/uuid.ts'
import { malformed } from './reader.ts'
import { encodeUtf8, maxUtf8Bytes } from './text.ts'

const slabBytes = 64 * 1024
const highUnit = 0x1_0000_0000
const limit = 2 ** 53

/**
 * Writes primitives, big-endian, into a slab that many messages share: a finished message is a view of the slab
 * and the next one begins behind it, so nothing is copied and small messages cost no allocation of their own.
 * A message that outgrows the slab moves to a larger one. Methods throw `EngineError('malformed')` for a value
 * that does not fit its type.
 */
export class Writer {
  bytes: Uint8Array
  position = 0
  /** The field that failed, filled in from the inside out while an error passes through the codec. */
  path = ''
  /** Pieces of the message that lie elsewhere, and where in the bytes they belong, ascending. */
  readonly inserts: { readonly position: number; readonly parts: readonly SendPart[] }[] = []
  /** Whether `inserts` may be used. */
  acceptsParts = false
  #start = 0

  constructor(capacityBytes = slabBytes) {
    this.bytes = new Uint8Array(capacityBytes)
  }

  /** Where the message begins; positions before it belong to messages already handed out. */
  get start(): number {
    return this.#start
  }

  /** Begins a message, dropping what an earlier one left behind when it failed. */
  begin(acceptsParts = false): void {
    this.position = this.#start
    this.path = ''
    this.acceptsParts = acceptsParts
    if (this.inserts.length > 0) this.inserts.length = 0
  }

  /** The message as bytes; the writer never touches them again. */
  finish(): Uint8Array {
    const message = new Uint8Array(this.bytes.buffer, this.#start, this.position - this.#start)
    this.#start = this.position
    return message
  }

  /** The message as parts: its bytes, cut where `inserts` belong. */
  finishParts(): SendPart[] {
    const parts: SendPart[] = []
    let from = this.#start
    for (const insert of this.inserts) {
      if (insert.position > from) parts.push(new Uint8Array(this.bytes.buffer, from, insert.position - from))
      for (const part of insert.parts) parts.push(part)
      from = insert.position
    }
    if (this.position > from || parts.length === 0) {
      parts.push(new Uint8Array(this.bytes.buffer, from, this.position - from))
    }
    this.#start = this.position
    return parts
  }

  /** Makes room for `length` more bytes and returns the position of the first, which the caller fills. */
  reserve(length: number): number {
    const at = this.position
    if (at + length > this.bytes.length) return this.#grow(length)
    this.position = at + length
    return at
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) throw unfit(value, 'int8')
    const at = this.reserve(1)
    this.bytes[at] = value
  }

  bool(value: boolean): void {
    const at = this.reserve(1)
    this.bytes[at] = value ? 1 : 0
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) throw unfit(value, 'int16')
    const at = this.reserve(2)
    this.bytes[at] = value >> 8
    this.bytes[at + 1] = value
  }

  uint16(value: number): void {
    if ((value & 0xffff) !== value) throw unfit(value, 'uint16')
    const at = this.reserve(2)
    this.bytes[at] = value >> 8
    this.bytes[at + 1] = value
  }

  int32(value: number): void {
    if ((value | 0) !== value) throw unfit(value, 'int32')
    this.setInt32(this.reserve(4), value)
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) throw unfit(value, 'uint32')
    this.setInt32(this.reserve(4), value)
  }

  /** A whole number within ±2^53. */
  int64(value: number): void {
    if (!(value >= -limit && value < limit) || value % 1 !== 0)
      throw unfit(value, 'a whole number within ±2^53')
    const at = this.reserve(8)
    const high = Math.floor(value / highUnit)
    this.setInt32(at, high)
    this.setInt32(at + 4, value - high * highUnit)
  }

  float64(value: number): void {
    const at = this.reserve(8)
    new DataView(this.bytes.buffer, at, 8).setFloat64(0, value)
  }

  uvarint(value: number): void {
    if (value >>> 0 !== value) throw unfit(value, 'uvarint')
    this.position = this.#putUvarint(this.reserve(5), value)
  }

  /** A signed 32-bit number in zigzag form. */
  varint(value: number): void {
    if ((value | 0) !== value) throw unfit(value, 'varint')
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0)
  }

  /** A whole number within ±2^53 in zigzag form, at most 8 bytes. */
  varlong(value: number): void {
    if ((value | 0) === value) {
      this.varint(value)
      return
    }
    if (!(value >= -limit && value < limit) || value % 1 !== 0)
      throw unfit(value, 'a whole number within ±2^53')
    // The zigzag form needs one bit more than a number holds exactly, so its last bit is kept apart.
    const half = value < 0 ? -value - 1 : value
    let at = this.reserve(8)
    const bytes = this.bytes
    bytes[at++] = ((half % 64) << 1) | (value < 0 ? 1 : 0) | 0x80
    let rest = Math.floor(half / 64)
    while (rest > 0x7f) {
      bytes[at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    bytes[at++] = rest
    this.position = at
  }

  raw(value: Uint8Array): void {
    const at = this.reserve(value.length)
    this.bytes.set(value, at)
  }

  uuid(value: Uuid): void {
    const at = this.reserve(16)
    if (value === zeroUuid) this.bytes.fill(0, at, at + 16)
    else this.bytes.set(uuidBytes(value), at)
  }

  /** Text after its int16 length. */
  string(value: string): void {
    const room = maxUtf8Bytes(value)
    const at = this.reserve(2 + room)
    const length = encodeUtf8(value, this.bytes, at + 2)
    if (length > 0x7fff) throw malformed(`a text of ${length} bytes is longer than 32,767`)
    this.bytes[at] = length >> 8
    this.bytes[at + 1] = length
    this.position = at + 2 + length
  }

  /** Text after its compact length. */
  compactString(value: string): void {
    const room = maxUtf8Bytes(value)
    const at = this.reserve(3 + room)
    let lengthBytes = room < 0x7f ? 1 : room < 0x3fff ? 2 : 3
    const length = encodeUtf8(value, this.bytes, at + lengthBytes)
    if (length > 0x7fff) throw malformed(`a text of ${length} bytes is longer than 32,767`)
    const needed = length < 0x7f ? 1 : length < 0x3fff ? 2 : 3
    if (needed < lengthBytes) {
      this.bytes.copyWithin(at + needed, at + lengthBytes, at + lengthBytes + length)
      lengthBytes = needed
    }
    this.#putUvarint(at, length + 1)
    this.position = at + lengthBytes + length
  }

  /** Writes over four bytes that were reserved. */
  setInt32(at: number, value: number): void {
    const bytes = this.bytes
    bytes[at] = value >> 24
    bytes[at + 1] = value >> 16
    bytes[at + 2] = value >> 8
    bytes[at + 3] = value
  }

  /** Puts the compact size of what was written since `from` in front of it. */
  prefixSize(from: number): void {
    const size = this.position - from
    const shift = size < 0x80 ? 1 : size < 0x4000 ? 2 : size < 0x20_0000 ? 3 : size < 0x1000_0000 ? 4 : 5
    // Making room may move the message.
    const start = this.reserve(shift) - size
    this.bytes.copyWithin(start + shift, start, start + size)
    this.#putUvarint(start, size)
  }

  /** Writes a uvarint where there is room for it; returns where it ends. */
  #putUvarint(at: number, value: number): number {
    const bytes = this.bytes
    while (value > 0x7f) {
      bytes[at++] = (value & 0x7f) | 0x80
      value >>>= 7
    }
    bytes[at++] = value
    return at
  }

  /** Moves the unfinished message to a slab with room for `length` more bytes. */
  #grow(length: number): number {
    const used = this.position - this.#start
    const larger = new Uint8Array(Math.max(slabBytes, (used + length) * 2))
    larger.set(this.bytes.subarray(this.#start, this.position))
    this.bytes = larger
    for (const [i, insert] of this.inserts.entries()) {
      this.inserts[i] = { position: insert.position - this.#start, parts: insert.parts }
    }
    this.#start = 0
    this.position = used + length
    return used
  }
}

function unfit(value: unknown, type: string): Error {
  return malformed(`${String(value)} does not fit ${type}`)
}

function uuidBytes(value: Uuid): Uint8Array {
  try {
    return uuidToBytes(value)
  } catch {
    throw malformed(`"${value}" is not an id`)
  }
}
