import fc from 'fast-check'
import { uuidFromBytes } from '../../src/model/uuid.ts'
import { absentValue } from '../../src/protocol/defaults.ts'
import { type Field, type Fields, inRange, type Message } from '../../src/protocol/schema.ts'

const bytes = fc.uint8Array({ maxLength: 40 })

const int64 = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer(),
  fc.constantFrom(0, -1, -(2 ** 53), 2 ** 53 - 1, 2 ** 32, -(2 ** 32)),
)

const scalars = {
  int8: fc.integer({ min: -128, max: 127 }),
  int16: fc.integer({ min: -0x8000, max: 0x7fff }),
  int32: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  int64,
  clampedInt64: int64,
  uint16: fc.integer({ min: 0, max: 0xffff }),
  uint32: fc.integer({ min: 0, max: 0xffff_ffff }),
  float64: fc.double(),
  bool: fc.boolean(),
  string: fc.oneof(fc.string({ maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 200 })),
  bytes,
  records: bytes,
  uuid: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(uuidFromBytes),
} as const

/** Any value of the message that `version` can carry; fields that it lacks are at their default. */
export function messageArbitrary(schema: Message, version: number): fc.Arbitrary<Record<string, unknown>> {
  return structArbitrary(schema.fields, version)
}

function structArbitrary(fields: Fields, version: number): fc.Arbitrary<Record<string, unknown>> {
  const model: Record<string, fc.Arbitrary<unknown>> = {}
  for (const [name, field] of Object.entries(fields)) {
    const present = inRange(field.versions, version)
    model[name] = present ? fieldArbitrary(field, version) : fc.constant(absentValue(field))
  }
  return fc.record(model, { noNullPrototype: true })
}

function fieldArbitrary(field: Field, version: number): fc.Arbitrary<unknown> {
  const value = valueArbitrary(field, version)
  const common = fc.constant(absentValue(field))
  const nullable = inRange(field.nullable, version)
  // A default that is null says "left out"; in versions without null it cannot be sent.
  const some =
    absentValue(field) === null && !nullable ? value : fc.oneof({ weight: 4, arbitrary: value }, common)
  return nullable ? fc.option(some, { nil: null, freq: 5 }) : some
}

function valueArbitrary(field: Field, version: number): fc.Arbitrary<unknown> {
  if (field.kind === 'struct') return structArbitrary(field.fields!, version)
  if (field.kind !== 'array') return scalars[field.kind]
  return fc.array(fieldArbitrary({ ...field.element!, default: elementDefault(field.element!) }, version), {
    maxLength: 4,
  })
}

function elementDefault(element: Field): unknown {
  if (element.kind === 'struct') return undefined
  return element.kind === 'string' ? '' : element.kind === 'uuid' ? 'AAAAAAAAAAAAAAAAAAAAAA' : 0
}
