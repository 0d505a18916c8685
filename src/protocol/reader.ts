import { EngineError } from '../model/errors.ts'
import { type Uuid, uuidFromBytes, zeroUuid } from '../model/uuid.ts'
import { decodeUtf8 } from './text.ts'

/** 2^32 and the first high halves that would leave ±2^53. */
const highUnit = 0x1_0000_0000
const highLimit = 0x20_0000

/**
 * Reads primitives, big-endian, from `position` up to `end` (exclusive). Every method throws
 * `EngineError('malformed')` rather than read past the end, and checks a length before it is used.
 */
export class Reader {
  readonly bytes: Uint8Array
  position: number
  end: number
  /** The field that failed, filled in from the inside out while an error passes through the codec. */
  path = ''
  /** Structs counted so far; the codec bounds them, since an empty one takes far more memory than bytes. */
  structs = 0

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.bytes = bytes
    this.position = position
    this.end = end
  }

  /** Bytes up to the end. */
  get remaining(): number {
    return this.end - this.position
  }

  /** Moves past `length` bytes and returns where they begin. */
  take(length: number): number {
    const start = this.position
    if (length < 0 || length > this.end - start) throw this.#short(length)
    this.position = start + length
    return start
  }

  int8(): number {
    return (this.bytes[this.take(1)]! << 24) >> 24
  }

  bool(): boolean {
    return this.bytes[this.take(1)] !== 0
  }

  int16(): number {
    const at = this.take(2)
    return (((this.bytes[at]! << 8) | this.bytes[at + 1]!) << 16) >> 16
  }

  uint16(): number {
    const at = this.take(2)
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  int32(): number {
    const at = this.take(4)
    const bytes = this.bytes
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  /** A 64-bit number within ±2^53; anything beyond is refused, never rounded. */
  int64(): number {
    const high = this.int32()
    const low = this.int32() >>> 0
    if (high >= highLimit || high < -highLimit) throw beyondSafe()
    return high * highUnit + low
  }

  /** A 64-bit number; one beyond ±2^53 becomes the largest or smallest that is not. */
  clampedInt64(): number {
    const high = this.int32()
    const low = this.int32() >>> 0
    if (high >= highLimit) return Number.MAX_SAFE_INTEGER
    return high < -highLimit ? Number.MIN_SAFE_INTEGER : high * highUnit + low
  }

  float64(): number {
    const at = this.take(8)
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 8).getFloat64(0)
  }

  /** An unsigned 32-bit number in groups of 7 bits, low first, at most 5 bytes. */
  uvarint(): number {
    const bytes = this.bytes
    const end = this.end
    let at = this.position
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= end) throw this.#short(1)
      const byte = bytes[at++]!
      if (shift === 28 && byte > 0x0f) throw malformed('a varint is longer than 32 bits')
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.position = at
        return value >>> 0
      }
    }
    throw malformed('a varint does not end')
  }

  /** A signed 32-bit number in zigzag form. */
  varint(): number {
    const value = this.uvarint()
    return (value >>> 1) ^ -(value & 1)
  }

  /** A signed 64-bit number in zigzag form, at most 10 bytes; beyond ±2^53 it is refused. */
  varlong(): number {
    // Seven groups hold 49 bits; what comes above is kept apart so that no bit is lost before the check.
    let low = 0
    let high = 0
    let unit = 1
    for (let group = 0; group < 10; group++) {
      const byte = this.bytes[this.take(1)]!
      if (group < 7) low += (byte & 0x7f) * unit
      else high += (byte & 0x7f) * (unit / 2 ** 49)
      unit *= 0x80
      if (byte < 0x80) return unzigzag(low, high)
    }
    throw malformed('a varint does not end')
  }

  /** A view of the next `length` bytes, not a copy. */
  view(length: number): Uint8Array {
    const at = this.take(length)
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + at, length)
  }

  /** `length` bytes of UTF-8. */
  text(length: number): string {
    const at = this.take(length)
    return decodeUtf8(this.bytes, at, at + length)
  }

  uuid(): Uuid {
    const at = this.take(16)
    const bytes = this.bytes
    for (let i = at; i < at + 16; i++) {
      if (bytes[i] !== 0) return uuidFromBytes(bytes.subarray(at, at + 16))
    }
    return zeroUuid
  }

  #short(length: number): EngineError {
    return malformed(`${length} bytes are wanted where ${this.end - this.position} are left`)
  }
}

/** The error of bytes that cannot be decoded. */
export function malformed(message: string): EngineError {
  return new EngineError('malformed', message)
}

function beyondSafe(): EngineError {
  return malformed('a 64-bit number is beyond ±2^53')
}

/** The number whose zigzag form is `high * 2^49 + low`. */
function unzigzag(low: number, high: number): number {
  const negative = low % 2 === 1
  const half = high * 2 ** 48 + (low - (low % 2)) / 2
  // Up to 2^53 the sum is exact, and rounding never brings a larger one back below.
  if (half > Number.MAX_SAFE_INTEGER) throw beyondSafe()
  return negative ? -half - 1 : half
}
