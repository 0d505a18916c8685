import { EngineError } from '../model/errors.ts'
import { decodeFrom, encodeInto } from './codec.ts'
import { malformed, Reader } from './reader.ts'
import { type Infer, type InferInput, inRange, type Message } from './schema.ts'
import { Writer } from './writer.ts'

/** Messages that carry their own version, an int16 in front: coordinator values, consumer protocol, files. */

const writer = new Writer()

/** The version, then the message. Throws as `encode`. */
export function encodeVersioned<M extends Message>(
  schema: M,
  version: number,
  value: InferInput<M>,
): Uint8Array {
  writer.begin()
  writer.int16(version)
  encodeInto(schema, version, value, writer)
  return writer.finish()
}

/**
 * The message behind its version; it must fill `bytes`. Throws `EngineError('unsupportedFormat')` for a version
 * that the schema does not have, and `malformed`.
 */
export function decodeVersioned<M extends Message>(schema: M, bytes: Uint8Array): Infer<M> {
  const reader = new Reader(bytes)
  const version = reader.int16()
  if (!inRange(schema.valid, version)) {
    const { from, to } = schema.valid
    throw new EngineError('unsupportedFormat', `version ${version} is outside ${from} to ${to}`)
  }
  const value = decodeFrom(schema, version, reader)
  if (reader.remaining > 0) throw malformed(`${reader.remaining} bytes follow the message`)
  return value
}

/**
 * As `decodeVersioned`, but a version newer than the schema's is read as its newest, and bytes behind the message
 * are left alone: the rule of the consumer protocol, whose versions only ever append. Throws `malformed`.
 */
export function decodeForward<M extends Message>(schema: M, bytes: Uint8Array): Infer<M> {
  const reader = new Reader(bytes)
  const version = reader.int16()
  if (version < schema.valid.from) throw malformed(`version ${version} is below ${schema.valid.from}`)
  return decodeFrom(schema, Math.min(version, schema.valid.to), reader)
}
