import { absentValue } from './defaults.ts'
import { malformed, type Reader } from './reader.ts'
import { type Field, type Fields, inRange } from './schema.ts'

/** Reads one value. */
export type ReadValue = (reader: Reader) => unknown

/**
 * Bounds that no message passes, whatever its bytes say: elements of one array, structs of all arrays
 * together.
 */
const maxElements = 1_000_000
const maxStructs = 1_000_000
const maxTaggedFields = 10_000

/** The reader of a struct (or whole message) in one version. */
export function compileReader(fields: Fields, version: number, flexible: boolean): ReadValue {
  const names = Object.keys(fields)
  const steps: ReadValue[] = []
  const tagged: { name: string; read: ReadValue }[] = []
  for (const name of names) {
    const field = fields[name]!
    const present = inRange(field.versions, version)
    if (present && field.tag < 0) {
      steps.push(compileField(field, version, flexible))
    } else {
      const value = absentValue(field)
      steps.push(() => value)
      if (present) tagged[field.tag] = { name, read: compileField(field, version, flexible) }
    }
  }
  const count = names.length
  return (reader) => {
    const value: Record<string, unknown> = {}
    let i = 0
    try {
      for (; i < count; i++) value[names[i]!] = steps[i]!(reader)
    } catch (error) {
      reader.path = reader.path === '' ? names[i]! : joinPath(names[i]!, reader.path)
      throw error
    }
    if (flexible) readTagged(reader, tagged, value)
    return value
  }
}

/** A struct's name before the path inside it; an index follows its array without a dot. */
export function joinPath(name: string, rest: string): string {
  return rest.startsWith('[') ? name + rest : `${name}.${rest}`
}

function readTagged(
  reader: Reader,
  tagged: readonly ({ name: string; read: ReadValue } | undefined)[],
  value: Record<string, unknown>,
): void {
  const count = reader.uvarint()
  if (count === 0) return
  if (count > maxTaggedFields) throw malformed(`${count} tagged fields are more than ${maxTaggedFields}`)
  for (let i = 0; i < count; i++) {
    const tag = reader.uvarint()
    const size = reader.uvarint()
    const start = reader.take(size)
    const known = tagged[tag]
    if (known === undefined) continue
    const end = reader.end
    reader.position = start
    reader.end = start + size
    try {
      value[known.name] = known.read(reader)
      if (reader.position !== reader.end) throw malformed(`${reader.remaining} bytes follow the value`)
    } catch (error) {
      reader.path = reader.path === '' ? known.name : joinPath(known.name, reader.path)
      throw error
    }
    reader.end = end
  }
}

function compileField(field: Field, version: number, flexible: boolean): ReadValue {
  const nullable = inRange(field.nullable, version)
  switch (field.kind) {
    case 'string':
      return flexible ? compactText(nullable) : text(nullable)
    case 'bytes':
    case 'records':
      return flexible ? compactBytes(nullable) : plainBytes(nullable)
    case 'array':
      return compileArray(field.element!, version, flexible, nullable)
    case 'struct': {
      const read = compileReader(field.fields!, version, flexible)
      return nullable ? (reader) => (readPresence(reader) ? read(reader) : null) : read
    }
    default:
      return primitives[field.kind]
  }
}

const primitives = {
  int8: (reader: Reader) => reader.int8(),
  int16: (reader: Reader) => reader.int16(),
  int32: (reader: Reader) => reader.int32(),
  int64: (reader: Reader) => reader.int64(),
  clampedInt64: (reader: Reader) => reader.clampedInt64(),
  uint16: (reader: Reader) => reader.uint16(),
  uint32: (reader: Reader) => reader.uint32(),
  float64: (reader: Reader) => reader.float64(),
  bool: (reader: Reader) => reader.bool(),
  uuid: (reader: Reader) => reader.uuid(),
} as const

function readPresence(reader: Reader): boolean {
  return reader.int8() >= 0
}

function text(nullable: boolean): ReadValue {
  return (reader) => {
    const length = reader.int16()
    return length < 0 ? absent(length, nullable) : reader.text(length)
  }
}

function compactText(nullable: boolean): ReadValue {
  return (reader) => {
    const length = reader.uvarint() - 1
    if (length > 0x7fff) throw malformed(`a text of ${length} bytes is longer than 32,767`)
    return length < 0 ? absent(length, nullable) : reader.text(length)
  }
}

function plainBytes(nullable: boolean): ReadValue {
  return (reader) => {
    const length = reader.int32()
    return length < 0 ? absent(length, nullable) : reader.view(length)
  }
}

function compactBytes(nullable: boolean): ReadValue {
  return (reader) => {
    const length = reader.uvarint() - 1
    return length < 0 ? absent(length, nullable) : reader.view(length)
  }
}

/** Null for the length -1 of a nullable value; any other negative length is a lie. */
function absent(length: number, nullable: boolean): null {
  if (length < -1) throw malformed(`the length ${length} is negative`)
  if (!nullable) throw malformed('null is not allowed')
  return null
}

function compileArray(element: Field, version: number, flexible: boolean, nullable: boolean): ReadValue {
  const read = compileField(element, version, flexible)
  const smallest = Math.max(1, leastBytes(element, version, flexible))
  const ofStructs = element.kind === 'struct'
  return (reader) => {
    const count = flexible ? reader.uvarint() - 1 : reader.int32()
    if (count < 0) return absent(count, nullable)
    if (count > maxElements) throw malformed(`${count} elements are more than ${maxElements}`)
    if (count * smallest > reader.remaining) {
      throw malformed(`${count} elements are more than ${reader.remaining} bytes can hold`)
    }
    if (ofStructs && (reader.structs += count) > maxStructs) {
      throw malformed(`the message has more than ${maxStructs} structs`)
    }
    const values = new Array(count)
    let i = 0
    try {
      for (; i < count; i++) values[i] = read(reader)
    } catch (error) {
      reader.path = reader.path === '' ? `[${i}]` : joinPath(`[${i}]`, reader.path)
      throw error
    }
    return values
  }
}

const fixedBytes = {
  int8: 1,
  bool: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  clampedInt64: 8,
  float64: 8,
  uuid: 16,
}

/** The fewest bytes that a value takes: what a claimed count is held against. */
function leastBytes(field: Field, version: number, flexible: boolean): number {
  switch (field.kind) {
    case 'string':
      return flexible ? 1 : 2
    case 'bytes':
    case 'records':
    case 'array':
      return flexible ? 1 : 4
    case 'struct': {
      if (inRange(field.nullable, version)) return 1
      let sum = flexible ? 1 : 0
      for (const inner of Object.values(field.fields!)) {
        if (inRange(inner.versions, version) && inner.tag < 0) sum += leastBytes(inner, version, flexible)
      }
      return sum
    }
    default:
      return fixedBytes[field.kind]
  }
}
