/** Strings on the wire: UTF-8, with short ASCII done in JavaScript because a call into Node costs more. */

interface Utf8Slice {
  utf8Slice(start: number, end: number): string
}

// On the prototype of every Buffer, works on any Uint8Array, and skips the making of a Buffer; the types leave it out.
const { utf8Slice } = Buffer.prototype as unknown as Utf8Slice

/**
 * The text of `bytes` from `start` to `end` (exclusive). Bytes that are not UTF-8 become U+FFFD, as in
 * Kafka.
 */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (start === end) return ''
  return utf8Slice.call(bytes as unknown as Utf8Slice, start, end)
}

interface Utf8Write {
  utf8Write(text: string, start: number, length: number): number
}

const { utf8Write } = Buffer.prototype as unknown as Utf8Write

/** No text of this many UTF-16 units takes more bytes than this. */
export function maxUtf8Bytes(text: string): number {
  return text.length * 3
}

const asciiLoopLimit = 32

/**
 * Writes `text` at `at`, where `maxUtf8Bytes(text)` bytes must be free, and returns the number of bytes
 * written.
 */
export function encodeUtf8(text: string, target: Uint8Array, at: number): number {
  const length = text.length
  if (length <= asciiLoopLimit) {
    let i = 0
    for (; i < length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 0x7f) break
      target[at + i] = unit
    }
    if (i === length) return length
  }
  return utf8Write.call(target as unknown as Utf8Write, text, at, target.length - at)
}
