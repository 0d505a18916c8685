import { EngineError } from '../model/errors.ts'
import { joinPath } from './decodePlan.ts'
import { absentValue, isDefault } from './defaults.ts'
import { malformed } from './reader.ts'
import type { RecordsRanges } from './recordsRanges.ts'
import { type Field, type Fields, inRange } from './schema.ts'
import type { Writer } from './writer.ts'

/** Writes one value. */
export type WriteValue = (writer: Writer, value: unknown) => void

/**
 * Records of at least this many bytes are sent from where they are instead of being copied into the message.
 */
const ownPartBytes = 1024

type Struct = Readonly<Record<string, unknown>>

/** The writer of a struct (or whole message) in one version. */
export function compileWriter(fields: Fields, version: number, flexible: boolean): WriteValue {
  const names: string[] = []
  const steps: WriteValue[] = []
  const absent: unknown[] = []
  const tagged: Tagged[] = []
  for (const [name, field] of Object.entries(fields)) {
    if (!inRange(field.versions, version)) {
      if (field.ignorable) continue
      names.push(name)
      steps.push(refuseUnlessDefault(field, version))
      absent.push(undefined)
    } else if (field.tag >= 0) {
      tagged.push({ name, field, write: compileField(field, version, flexible) })
    } else {
      names.push(name)
      steps.push(compileField(field, version, flexible))
      absent.push(absentValue(field))
    }
  }
  tagged.sort((a, b) => a.field.tag - b.field.tag)
  const count = names.length
  return (writer, value) => {
    let i = 0
    try {
      for (; i < count; i++) {
        const given = (value as Struct)[names[i]!]
        steps[i]!(writer, given === undefined ? absent[i] : given)
      }
    } catch (error) {
      writer.path = writer.path === '' ? names[i]! : joinPath(names[i]!, writer.path)
      throw error
    }
    if (flexible) writeTagged(writer, tagged, value as Struct)
  }
}

interface Tagged {
  readonly name: string
  readonly field: Field
  readonly write: WriteValue
}

function writeTagged(writer: Writer, tagged: readonly Tagged[], value: Struct): void {
  const countAt = writer.reserve(1) - writer.start
  let count = 0
  for (const { name, field, write } of tagged) {
    const given = value[name]
    if (isDefault(field, given)) continue
    count++
    writer.uvarint(field.tag)
    const from = writer.position - writer.start
    try {
      write(writer, given)
    } catch (error) {
      writer.path = writer.path === '' ? name : joinPath(name, writer.path)
      throw error
    }
    writer.prefixSize(writer.start + from)
  }
  // No schema has 128 tags, so the count is one byte.
  writer.bytes[writer.start + countAt] = count
}

function refuseUnlessDefault(field: Field, version: number): WriteValue {
  return (_writer, value) => {
    if (!isDefault(field, value)) {
      throw new EngineError('unsupportedVersion', `version ${version} cannot carry this value`)
    }
  }
}

function compileField(field: Field, version: number, flexible: boolean): WriteValue {
  const nullable = inRange(field.nullable, version)
  switch (field.kind) {
    case 'string':
      return text(flexible, nullable)
    case 'bytes':
    case 'records':
      return blob(flexible, nullable)
    case 'array':
      return compileArray(field.element!, version, flexible, nullable)
    case 'struct': {
      const write = compileWriter(field.fields!, version, flexible)
      if (!nullable) return write
      return (writer, value) => {
        writer.int8(value === null ? -1 : 1)
        if (value !== null) write(writer, value)
      }
    }
    default:
      return primitives[field.kind]
  }
}

const primitives = {
  int8: (writer: Writer, value: unknown) => writer.int8(value as number),
  int16: (writer: Writer, value: unknown) => writer.int16(value as number),
  int32: (writer: Writer, value: unknown) => writer.int32(value as number),
  int64: (writer: Writer, value: unknown) => writer.int64(value as number),
  clampedInt64: (writer: Writer, value: unknown) => writer.int64(value as number),
  uint16: (writer: Writer, value: unknown) => writer.uint16(value as number),
  uint32: (writer: Writer, value: unknown) => writer.uint32(value as number),
  float64: (writer: Writer, value: unknown) => writer.float64(value as number),
  bool: (writer: Writer, value: unknown) => writer.bool(value as boolean),
  uuid: (writer: Writer, value: unknown) => writer.uuid(value as string),
} as const

function text(flexible: boolean, nullable: boolean): WriteValue {
  return (writer, value) => {
    if (value === null) {
      if (!nullable) throw malformed('null is not allowed')
      if (flexible) writer.uvarint(0)
      else writer.int16(-1)
    } else if (flexible) writer.compactString(value as string)
    else writer.string(value as string)
  }
}

function blob(flexible: boolean, nullable: boolean): WriteValue {
  return (writer, value) => {
    if (value === null) return writeCount(writer, -1, flexible, nullable)
    if (value instanceof Uint8Array) {
      writeCount(writer, value.length, flexible, nullable)
      if (writer.acceptsParts && value.length >= ownPartBytes) {
        writer.inserts.push({ position: writer.position, parts: [value] })
      } else writer.raw(value)
      return
    }
    const ranges = value as RecordsRanges
    if (!writer.acceptsParts) throw malformed('file ranges are only taken where parts are')
    writeCount(writer, ranges.lengthBytes, flexible, nullable)
    if (ranges.parts.length > 0) writer.inserts.push({ position: writer.position, parts: ranges.parts })
  }
}

/** A length or count; -1 means null. */
function writeCount(writer: Writer, count: number, flexible: boolean, nullable: boolean): void {
  if (count < 0 && !nullable) throw malformed('null is not allowed')
  if (flexible) writer.uvarint(count + 1)
  else writer.int32(count)
}

function compileArray(element: Field, version: number, flexible: boolean, nullable: boolean): WriteValue {
  const write = compileField(element, version, flexible)
  return (writer, value) => {
    if (value === null) return writeCount(writer, -1, flexible, nullable)
    const values = value as readonly unknown[]
    writeCount(writer, values.length, flexible, nullable)
    let i = 0
    try {
      for (; i < values.length; i++) write(writer, values[i])
    } catch (error) {
      writer.path = writer.path === '' ? `[${i}]` : joinPath(`[${i}]`, writer.path)
      throw error
    }
  }
}
