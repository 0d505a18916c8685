import { decodeFrom, encode, encodeInto } from '../codec.ts'
import { malformed, Reader } from '../reader.ts'
import { type Infer, type InferInput, inRange, type Message } from '../schema.ts'
import { Writer } from '../writer.ts'
import * as schemas from './controlRecords.ts'

/** Which control record a key names. Source: Kafka `ControlRecordType`. */
export const ControlRecordType = {
  abort: 0,
  commit: 1,
  leaderChange: 2,
  snapshotHeader: 3,
  snapshotFooter: 4,
  kraftVersion: 5,
  kraftVoters: 6,
} as const

/** The name of a control record. */
export type ControlRecordName = keyof typeof ControlRecordType

const values = {
  abort: schemas.endTxnMarker,
  commit: schemas.endTxnMarker,
  leaderChange: schemas.leaderChangeMessage,
  snapshotHeader: schemas.snapshotHeaderRecord,
  snapshotFooter: schemas.snapshotFooterRecord,
  kraftVersion: schemas.kraftVersionRecord,
  kraftVoters: schemas.votersRecord,
} as const

/** A control record as decoded: its type and the fields of its value. */
export type ControlRecord = {
  [T in ControlRecordName]: { readonly type: T } & Infer<(typeof values)[T]>
}[ControlRecordName]

/** A control record to encode. The version is that of the value's schema. */
export type ControlRecordInput = {
  [T in ControlRecordName]: { readonly type: T } & InferInput<(typeof values)[T]>
}[ControlRecordName]

const keyVersion = 0
const names = Object.keys(ControlRecordType) as ControlRecordName[]
const writer = new Writer()

/** The key and value of a control record, the value in `version`. Throws as `encode`. */
export function encodeControlRecord(
  record: ControlRecordInput,
  version = 0,
): { readonly key: Uint8Array; readonly value: Uint8Array } {
  writer.begin()
  writer.int16(keyVersion)
  writer.int16(ControlRecordType[record.type])
  const key = writer.finish()
  const schema: Message = values[record.type]
  if (!isMarker(record.type)) return { key, value: encode(schema, version, { ...record, version }) }
  writer.begin()
  writer.int16(version)
  encodeInto(schema, version, record, writer)
  return { key, value: writer.finish() }
}

/**
 * The control record of a key and value, or null for a type that this release does not know.
 * Throws `EngineError('malformed')`.
 */
export function decodeControlRecord(key: Uint8Array, value: Uint8Array): ControlRecord | null {
  const keyReader = new Reader(key)
  const version = keyReader.int16()
  if (version < 0) throw malformed(`the version ${version} of a control record's key is negative`)
  // A later version may append to the key; the type stays where it is.
  const type = names[keyReader.int16()]
  if (type === undefined) return null
  return { type, ...decodeValue(type, value) } as ControlRecord
}

/**
 * Every value begins with its version; only in an end-of-transaction marker is that not a field of the
 * schema.
 */
function decodeValue(type: ControlRecordName, bytes: Uint8Array): Infer<Message> {
  const schema: Message = values[type]
  const version = new Reader(bytes).int16()
  if (!inRange(schema.valid, version)) throw malformed(`version ${version} of a ${type} record is not known`)
  const reader = new Reader(bytes, isMarker(type) ? 2 : 0)
  const value = decodeFrom(schema, version, reader)
  if (reader.remaining > 0) throw malformed(`${reader.remaining} bytes follow the ${type} record`)
  return value
}

function isMarker(type: ControlRecordName): boolean {
  return type === 'abort' || type === 'commit'
}
