import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { decode } from '../../src/protocol/codec.ts'
import { allSchemas } from './schemas.ts'
import { readVectors } from './vectors.ts'

const schemas = await allSchemas()
const vectors = readVectors().filter(({ name, bytes }) => !name.endsWith('Header') && bytes.length > 0)

/** One way in which bytes arrive other than they were sent. */
type Damage = (bytes: Uint8Array) => Uint8Array

const position = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const at = (bytes: Uint8Array, where: number) => Math.floor(where * bytes.length)
const splice = (bytes: Uint8Array, from: number, to: number, insert: Iterable<number>) =>
  Uint8Array.from([...bytes.subarray(0, from), ...insert, ...bytes.subarray(to)])

const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.tuple(position, fc.nat(7)).map(
    ([where, bit]): Damage =>
      (bytes) => {
        const copy = bytes.slice()
        copy[at(bytes, where)]! ^= 1 << bit
        return copy
      },
  ),
  position.map(
    (where): Damage =>
      (bytes) =>
        bytes.slice(0, at(bytes, where)),
  ),
  fc.tuple(position, fc.uint8Array({ minLength: 1, maxLength: 8 })).map(
    ([where, insert]): Damage =>
      (bytes) =>
        splice(bytes, at(bytes, where), at(bytes, where), insert),
  ),
  fc.tuple(position, position).map(
    ([from, to]): Damage =>
      (bytes) => {
        const [first = 0, last = 0] = [at(bytes, from), at(bytes, to)].sort((a, b) => a - b)
        return splice(bytes, first, last, [])
      },
  ),
  // A length or count that lies, in each of the forms that the wire has.
  fc
    .tuple(
      position,
      fc.constantFrom(
        [0x7f, 0xff, 0xff, 0xff],
        [0xff, 0xff, 0xff, 0xff],
        [0xff, 0xff, 0xff, 0xfe],
        [0x00, 0x0f, 0x42, 0x40],
        [0x7f, 0xff],
        [0x80, 0x00],
        [0xff, 0xff, 0xff, 0xff, 0x0f],
        [0xff, 0xff, 0xff, 0xff, 0xff],
        [0x80, 0x80, 0x80, 0x80, 0x00],
      ),
    )
    .map(
      ([where, lie]): Damage =>
        (bytes) =>
          splice(bytes, at(bytes, where), at(bytes, where) + lie.length, lie),
    ),
)

/** Array elements, text units and bytes of a value. */
function weight(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (value instanceof Uint8Array) return value.length
  if (Array.isArray(value)) return value.reduce((sum, element) => sum + weight(element), value.length)
  if (typeof value === 'object' && value !== null)
    return weight(Object.values(value)) - Object.keys(value).length
  return 0
}

/** The text units that a field has without any bytes: ids, and defaults. */
const restWeight = 2_000

test('damaged messages decode, or are refused as malformed, and hold no more than their bytes can say', () => {
  let decoded = 0
  let refused = 0
  fc.assert(
    fc.property(
      fc.constantFrom(...vectors),
      fc.array(damage, { minLength: 1, maxLength: 3 }),
      (vector, damages) => {
        const bytes = damages.reduce(
          (current, apply) => (current.length === 0 ? current : apply(current)),
          vector.bytes,
        )
        const schema = schemas.get(vector.name.toLowerCase())!
        try {
          const value = decode(schema, vector.version, bytes)
          decoded++
          // An id of 16 bytes is a text of 22, a field without bytes has its default: a small multiple.
          expect(weight(value)).toBeLessThanOrEqual(bytes.length * 40 + restWeight)
        } catch (error) {
          if (!(error instanceof EngineError)) throw error
          expect(error.code).toBe('malformed')
          refused++
        }
      },
    ),
    { numRuns: 20_000 },
  )
  expect(decoded).toBeGreaterThan(1_000)
  expect(refused).toBeGreaterThan(1_000)
})

test('a message cut anywhere before its end never decodes', () => {
  for (const { name, version, bytes } of vectors.filter((_, i) => i % 7 === 0)) {
    const schema = schemas.get(name.toLowerCase())!
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decode(schema, version, bytes.subarray(0, length)), `${name} ${version}`).toThrow(
        expect.objectContaining({ code: 'malformed' }),
      )
    }
  }
})

test('random bytes decode, or are refused as malformed', () => {
  const messages = [...schemas.values()]
  fc.assert(
    fc.property(
      fc.constantFrom(...messages),
      fc.nat(20),
      fc.uint8Array({ maxLength: 300 }),
      (schema, step, bytes) => {
        const version = schema.valid.from + (step % (schema.valid.to - schema.valid.from + 1))
        try {
          decode(schema, version, bytes)
        } catch (error) {
          if (!(error instanceof EngineError) || error.code !== 'malformed') throw error
        }
      },
    ),
    { numRuns: 10_000 },
  )
})
