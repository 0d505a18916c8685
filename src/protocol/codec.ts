import { EngineError } from '../model/errors.ts'
import type { SendPart } from '../model/fileRange.ts'
import { compileReader, type ReadValue } from './decodePlan.ts'
import { compileWriter, type WriteValue } from './encodePlan.ts'
import { malformed, Reader } from './reader.ts'
import { type Infer, type InferInput, inRange, type Message } from './schema.ts'
import { Writer } from './writer.ts'

/** What one version of a message compiles to. */
interface Plan {
  readonly read: ReadValue
  readonly write: WriteValue
}

const plans = new WeakMap<Message, (Plan | undefined)[]>()
const writer = new Writer()

/**
 * The message in `bytes`, all of which it must fill. Every field is present: one that the version lacks, or a
 * tagged one that was left out, has its default. Bytes and records are views of `bytes`.
 * Throws `EngineError('malformed')`, naming the field, and `unsupportedVersion` for a version outside the schema.
 */
export function decode<M extends Message>(schema: M, version: number, bytes: Uint8Array): Infer<M> {
  const reader = new Reader(bytes)
  const value = decodeFrom(schema, version, reader)
  if (reader.position !== reader.end) throw malformed(`${reader.remaining} bytes follow the message`)
  return value
}

/** As `decode`, from where `reader` stands; leaves it behind the message. */
export function decodeFrom<M extends Message>(schema: M, version: number, reader: Reader): Infer<M> {
  const { read } = planOf(schema, version)
  try {
    return read(reader) as Infer<M>
  } catch (error) {
    throw withPath(error, reader.path)
  }
}

/**
 * The bytes of `value`, a view of memory that other messages share: copy them to keep them for long. Fields left
 * out are at their default. Throws `EngineError('unsupportedVersion')` for a value that the version cannot carry
 * and whose field is not ignorable, and `malformed` for one that does not fit.
 */
export function encode<M extends Message>(schema: M, version: number, value: InferInput<M>): Uint8Array {
  writer.begin()
  encodeInto(schema, version, value, writer)
  return writer.finish()
}

/** As `encode`; `records` may be file ranges, which come back as parts of their own, in order. */
export function encodeParts<M extends Message>(
  schema: M,
  version: number,
  value: InferInput<M>,
  headroomBytes = 0,
): SendPart[] {
  writer.begin(true)
  writer.reserve(headroomBytes)
  encodeInto(schema, version, value, writer)
  return writer.finishParts()
}

/** As `encode`, behind what `target` already holds. */
export function encodeInto<M extends Message>(
  schema: M,
  version: number,
  value: InferInput<M>,
  target: Writer,
): void {
  const { write } = planOf(schema, version)
  try {
    write(target, value)
  } catch (error) {
    throw withPath(error, target.path)
  }
}

/** Whether `version` of the message uses compact lengths and tagged sections. */
export function isFlexible(schema: Message, version: number): boolean {
  return inRange(schema.flexible, version)
}

function planOf(schema: Message, version: number): Plan {
  let versions = plans.get(schema)
  if (versions === undefined) plans.set(schema, (versions = []))
  return (versions[version] ??= compile(schema, version))
}

function compile(schema: Message, version: number): Plan {
  if (!inRange(schema.valid, version)) {
    const { from, to } = schema.valid
    throw new EngineError('unsupportedVersion', `version ${version} is outside ${from} to ${to}`)
  }
  const flexible = isFlexible(schema, version)
  return {
    read: compileReader(schema.fields, version, flexible),
    write: compileWriter(schema.fields, version, flexible),
  }
}

function withPath(error: unknown, path: string): unknown {
  if (!(error instanceof EngineError) || path === '') return error
  return new EngineError(error.code, `${path}: ${error.message}`, { cause: error })
}
