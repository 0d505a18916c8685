import { EngineError } from '../model/errors.ts'

const two32 = 4_294_967_296

/** The signed 16-bit big-endian integer at `at`. */
export function readInt16(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) >> 16) | bytes[at + 1]!
}

/** The signed 32-bit big-endian integer at `at`. */
export function readInt32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}

/** The unsigned 32-bit big-endian integer at `at`. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) >>> 0
}

/**
 * The signed 64-bit big-endian integer at `at`, from two halves (no bigint on the hot path). Beyond ±2^53 the
 * result is not exact; whoever stores or answers it checks with `Number.isSafeInteger`.
 */
export function readInt64(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) * two32 + readUint32(bytes, at + 4)
}

/** Writes the low 16 bits of `value`, big-endian. */
export function writeInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8
  bytes[at + 1] = value
}

/** Writes the low 32 bits of `value`, big-endian; for signed and unsigned values. */
export function writeInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** Writes a signed 64-bit integer, big-endian. Throws `malformed` beyond ±2^53. */
export function writeInt64(bytes: Uint8Array, at: number, value: number): void {
  if (!Number.isSafeInteger(value)) throw new EngineError('malformed', `${value} does not fit an exact int64`)
  writeInt32(bytes, at, Math.floor(value / two32))
  writeInt32(bytes, at + 4, (value % two32) | 0)
}
