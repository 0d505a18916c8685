import { EngineError } from '../model/errors.ts'
import type { BatchHeader } from './recordBatch.ts'

/**
 * Reads the varints of records. One instance per walk, reused: walking a batch allocates nothing.
 * `at` is the next byte to read; `end` is exclusive.
 */
export class VarintCursor {
  at = 0
  end = 0
  bytes: Uint8Array = new Uint8Array(0)

  /** The next zigzag varint of at most 5 bytes. Throws `invalidRecord` when it does not end in time. */
  varint(): number {
    const bytes = this.bytes
    let at = this.at
    const first = at < this.end ? bytes[at++]! : runsOut()
    if (first < 0x80) {
      this.at = at
      return (first >>> 1) ^ -(first & 1)
    }
    let value = first & 0x7f
    for (let shift = 7; ; shift += 7) {
      if (at >= this.end || shift > 28) runsOut()
      const byte = bytes[at++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    this.at = at
    return (value >>> 1) ^ -(value & 1)
  }

  /** The next zigzag varint of at most 10 bytes, as a number: not exact beyond ±2^53. */
  varlong(): number {
    const start = this.at
    const limit = Math.min(this.end, start + 10)
    let at = start
    while (at < limit && this.bytes[at]! >= 0x80) at++
    if (at >= limit) runsOut()
    if (at - start < 4) return this.varint()
    let value = 0
    for (let index = at; index >= start; index--) value = value * 128 + (this.bytes[index]! & 0x7f)
    this.at = at + 1
    // Zigzag without bit operations: they would cut the number to 32 bits.
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
}

function runsOut(): never {
  throw new EngineError('invalidRecord', 'a record ends in the middle of a number')
}

const cursor = new VarintCursor()

/**
 * Walks the uncompressed records of a batch from `at` on and returns the greatest timestamp (ms).
 * Throws `invalidRecord` unless there are exactly `recordsCount` of them, every length inside them is true,
 * offset deltas count up from 0, and nothing follows the last one.
 */
export function walkRecords(bytes: Uint8Array, at: number, header: BatchHeader): number {
  const count = header.recordsCount
  const end = bytes.length
  let greatestDelta = Number.NEGATIVE_INFINITY
  cursor.bytes = bytes
  cursor.at = at
  for (let index = 0; index < count; index++) {
    cursor.end = end
    const lengthBytes = cursor.varint()
    const recordEnd = cursor.at + lengthBytes
    if (lengthBytes < 6 || recordEnd > end) lies(index, 'length')
    cursor.end = recordEnd
    cursor.at++ // Attributes: unused.
    const timestampDelta = cursor.varlong()
    if (timestampDelta > greatestDelta) greatestDelta = timestampDelta
    if (cursor.varint() !== index) lies(index, 'offset')
    skipBytes(index, -1)
    skipBytes(index, -1)
    const headers = cursor.varint()
    if (headers < 0) lies(index, 'number of headers')
    for (let each = 0; each < headers; each++) {
      skipBytes(index, 0)
      skipBytes(index, -1)
    }
    if (cursor.at !== recordEnd) lies(index, 'length')
  }
  cursor.bytes = bytes.subarray(0, 0) // Lets go of the request's memory.
  if (cursor.at !== end)
    throw new EngineError('invalidRecord', `${end - cursor.at} bytes follow the last record`)
  return header.baseTimestampMs + greatestDelta
}

/** Whether every one of `count` uncompressed records from `at` on has a key. They have been walked before. */
export function haveKeys(bytes: Uint8Array, at: number, count: number): boolean {
  cursor.bytes = bytes
  cursor.at = at
  cursor.end = bytes.length
  let keyed = 0
  for (; keyed < count; keyed++) {
    const lengthBytes = cursor.varint()
    const recordEnd = cursor.at + lengthBytes
    cursor.at++ // Attributes: unused.
    cursor.varlong()
    cursor.varint()
    if (cursor.varint() < 0) break
    cursor.at = recordEnd
  }
  cursor.bytes = bytes.subarray(0, 0)
  return keyed === count
}

/** Skips a length and as many bytes; `least` is -1 where null is allowed. */
function skipBytes(index: number, least: -1 | 0): void {
  const lengthBytes = cursor.varint()
  if (lengthBytes < least || lengthBytes > cursor.end - cursor.at) lies(index, 'key, value or header')
  if (lengthBytes > 0) cursor.at += lengthBytes
}

function lies(index: number, what: string): never {
  throw new EngineError('invalidRecord', `the ${what} of record ${index} in a batch is not true`)
}
