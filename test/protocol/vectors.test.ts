import { expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { decodeFrom, encode, encodeInto } from '../../src/protocol/codec.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Message } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'
import { allSchemas } from './schemas.ts'
import { readVectors, type Vector } from './vectors.ts'

const schemas = await allSchemas()
const vectors = readVectors().filter(({ name }) => !name.endsWith('Header'))

/** Refuses what it cannot say as a number, also where others take the nearest. */
class StrictReader extends Reader {
  override clampedInt64(): number {
    return this.int64()
  }
}

function decode(schema: Message, version: number, bytes: Uint8Array) {
  const reader = new StrictReader(bytes)
  const value = decodeFrom(schema, version, reader)
  expect(reader.position).toBe(bytes.length)
  return value
}

/** The error of a decode, or null. */
function failure(schema: Message, version: number, bytes: Uint8Array): unknown {
  try {
    decode(schema, version, bytes)
    return null
  } catch (error) {
    return error
  }
}

/**
 * The vector with every int64 beyond ±2^53 brought into range by clearing its upper 16 bits. The reader stands
 * behind the number that it refuses, which tells where it is.
 */
function broughtIntoRange(
  schema: Message,
  { version, bytes }: Vector,
): { bytes: Uint8Array; cleared: number } {
  const copy = bytes.slice()
  for (let cleared = 0; ; cleared++) {
    const reader = new StrictReader(copy)
    try {
      decodeFrom(schema, version, reader)
      return { bytes: copy, cleared }
    } catch (error) {
      if (!(error instanceof EngineError) || !error.message.includes('beyond ±2^53')) throw error
      copy.fill(0, reader.position - 8, reader.position - 6)
    }
  }
}

test('every version of every message has its vectors', () => {
  const seen = new Map<string, number>()
  for (const { name, version } of vectors) {
    const key = `${name.toLowerCase()} ${version}`
    seen.set(key, (seen.get(key) ?? 0) + 1)
  }
  for (const [name, { valid }] of schemas) {
    for (let version = valid.from; version <= valid.to; version++) {
      expect(seen.get(`${name} ${version}`), `${name} ${version}`).toBe(4)
    }
  }
  expect(vectors.length).toBe(seen.size * 4)
})

test('every vector whose numbers are within ±2^53 decodes and encodes to the same bytes (Kafka 4.4.0)', () => {
  let same = 0
  for (const { name, version, bytes } of vectors) {
    const schema = schemas.get(name.toLowerCase())!
    const error = failure(schema, version, bytes)
    if (error instanceof EngineError && error.message.includes('beyond ±2^53')) continue
    const again = encode(schema, version, decode(schema, version, bytes))
    expect(Buffer.from(again).toString('hex'), `${name} ${version}`).toBe(Buffer.from(bytes).toString('hex'))
    same++
  }
  expect(same).toBe(1681)
})

test('a vector with an int64 beyond ±2^53 is refused, and is no different once that number is in range', () => {
  let refused = 0
  for (const vector of vectors) {
    const { name, version } = vector
    const schema = schemas.get(name.toLowerCase())!
    const error = failure(schema, version, vector.bytes)
    if (error === null) continue
    refused++
    expect(error, `${name} ${version}`).toMatchObject({ code: 'malformed' })
    const { bytes, cleared } = broughtIntoRange(schema, vector)
    expect(cleared).toBeGreaterThan(0)
    const again = encode(schema, version, decode(schema, version, bytes))
    expect(Buffer.from(again).toString('hex'), `${name} ${version}`).toBe(Buffer.from(bytes).toString('hex'))
  }
  expect(refused).toBe(519)
})

/** Reads every int64 whole: as a bigint where a number would round. */
class ExactReader extends StrictReader {
  readonly #view: DataView

  constructor(bytes: Uint8Array) {
    super(bytes)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  override int64(): number {
    const start = this.position
    try {
      return super.int64()
    } catch {
      this.position = start + 8
      return this.#view.getBigInt64(start) as unknown as number
    }
  }
}

/** Writes what `ExactReader` reads. */
class ExactWriter extends Writer {
  override int64(value: number | bigint): void {
    if (typeof value === 'number') {
      super.int64(value)
      return
    }
    this.int32(Number(BigInt.asIntN(32, value >> 32n)))
    this.int32(Number(BigInt.asIntN(32, value)))
  }
}

test('every vector decodes and encodes to the same bytes when int64 are read whole (Kafka 4.4.0)', () => {
  const writer = new ExactWriter()
  for (const { name, version, bytes } of vectors) {
    const schema = schemas.get(name.toLowerCase())!
    const reader = new ExactReader(bytes)
    writer.begin()
    encodeInto(schema, version, decodeFrom(schema, version, reader), writer)
    expect(reader.position, `${name} ${version}`).toBe(bytes.length)
    expect(Buffer.from(writer.finish()).toString('hex'), `${name} ${version}`).toBe(
      Buffer.from(bytes).toString('hex'),
    )
  }
})
