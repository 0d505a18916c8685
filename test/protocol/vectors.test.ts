import { expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { decode, decodeFrom, encode } from '../../src/protocol/codec.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Message } from '../../src/protocol/schema.ts'
import { allSchemas } from './schemas.ts'
import { readVectors, type Vector } from './vectors.ts'

const schemas = await allSchemas()
const vectors = readVectors().filter(({ name }) => !name.endsWith('Header'))

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
    const reader = new Reader(copy)
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
  expect(same).toBe(1511)
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
  expect(refused).toBe(489)
})
