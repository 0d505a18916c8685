import { decodeFrom, encodeInto } from '../codec.ts'
import { malformed, Reader } from '../reader.ts'
import type { Infer, InferInput, Message } from '../schema.ts'
import { decodeVersioned, encodeVersioned } from '../versioned.ts'
import { Writer } from '../writer.ts'
import { groupMetadataKey, groupMetadataValue } from './groups.ts'
import { offsetCommitKey, offsetCommitValue } from './offsets.ts'

/** The records of `__consumer_offsets` that this release knows: their keys and values. */
export const coordinatorRecords = {
  offsetCommit: { key: offsetCommitKey, value: offsetCommitValue },
  groupMetadata: { key: groupMetadataKey, value: groupMetadataValue },
} as const

/** The name of a coordinator record. */
export type CoordinatorRecordType = keyof typeof coordinatorRecords

/** A key, with its type. */
export type CoordinatorKey = {
  [T in CoordinatorRecordType]: { readonly type: T } & Infer<(typeof coordinatorRecords)[T]['key']>
}[CoordinatorRecordType]

/** The value of a record of type `T`. */
export type CoordinatorValue<T extends CoordinatorRecordType> = Infer<(typeof coordinatorRecords)[T]['value']>

/** The value of a record of type `T`, to encode. */
export type CoordinatorValueInput<T extends CoordinatorRecordType> = InferInput<
  (typeof coordinatorRecords)[T]['value']
>

const writer = new Writer()
const typesByKey = new Map<number, CoordinatorRecordType>(
  Object.entries(coordinatorRecords).map(([type, { key }]) => [key.apiKey!, type as CoordinatorRecordType]),
)

/** The key's bytes: int16 record type, then the body. Throws as `encode`. */
export function encodeCoordinatorKey(key: CoordinatorKey): Uint8Array {
  const schema: Message = coordinatorRecords[key.type].key
  writer.begin()
  writer.int16(schema.apiKey!)
  encodeInto(schema, 0, key, writer)
  return writer.finish()
}

/** The key, or null for a record type that this release does not know. Throws `EngineError('malformed')`. */
export function decodeCoordinatorKey(bytes: Uint8Array): CoordinatorKey | null {
  const reader = new Reader(bytes)
  const type = typesByKey.get(reader.int16())
  if (type === undefined) return null
  const key = decodeFrom(coordinatorRecords[type].key as Message, 0, reader)
  if (reader.remaining > 0) throw malformed(`${reader.remaining} bytes follow the key`)
  return { type, ...key } as CoordinatorKey
}

/** The value's bytes: int16 version, then the body. Throws as `encode`. */
export function encodeCoordinatorValue<T extends CoordinatorRecordType>(
  type: T,
  version: number,
  value: CoordinatorValueInput<T>,
): Uint8Array {
  return encodeVersioned(coordinatorRecords[type].value as Message, version, value as InferInput<Message>)
}

/**
 * The value of a record of `type`. Throws `EngineError('unsupportedFormat')` for a newer version, and
 * `malformed`.
 */
export function decodeCoordinatorValue<T extends CoordinatorRecordType>(
  type: T,
  bytes: Uint8Array,
): CoordinatorValue<T> {
  return decodeVersioned(coordinatorRecords[type].value as Message, bytes) as CoordinatorValue<T>
}
