import { EngineError } from '../../model/errors.ts'
import { VarintCursor } from '../recordWalk.ts'

/** Walks the uncompressed records of a batch, one after the other, without making objects of them. */
export class RecordCursor {
  /** The current record lies in `bytes` from `start` to `end`, its length included. */
  start = 0
  end = 0
  /** Where what follows the timestamp begins: offset delta, key, value, headers. */
  restStart = 0
  timestampDelta = 0
  offsetDelta = 0
  /** Where the key lies; `hasKey` false: the record has none. */
  keyStart = 0
  keyEnd = 0
  hasKey = false
  hasValue = false
  readonly bytes: Uint8Array
  readonly #cursor = new VarintCursor()

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#cursor.bytes = bytes
  }

  /** Goes to the next record. Throws `invalidRecord` where none can be. */
  next(): void {
    const cursor = this.#cursor
    this.start = this.end
    cursor.at = this.end
    cursor.end = this.bytes.length
    const lengthBytes = cursor.varint()
    this.end = cursor.at + lengthBytes
    if (lengthBytes < 6 || this.end > this.bytes.length) lies()
    cursor.end = this.end
    cursor.at++ // Attributes: unused.
    this.timestampDelta = cursor.varlong()
    this.restStart = cursor.at
    this.offsetDelta = cursor.varint()
    const keyBytes = cursor.varint()
    this.hasKey = keyBytes >= 0
    this.keyStart = cursor.at
    this.keyEnd = this.keyStart + Math.max(keyBytes, 0)
    if (keyBytes < -1 || this.keyEnd > this.end) lies()
    cursor.at = this.keyEnd
    const valueBytes = cursor.varint()
    this.hasValue = valueBytes >= 0
    if (valueBytes < -1 || valueBytes > this.end - cursor.at) lies()
  }
}

function lies(): never {
  throw new EngineError('invalidRecord', 'a stored record says that it is longer than its batch')
}
