import { EngineError } from '../../model/errors.ts'
import { decode, encodeInto } from '../codec.ts'
import { malformed, Reader } from '../reader.ts'
import { type Infer, type InferInput, inRange, type Message } from '../schema.ts'
import { Writer } from '../writer.ts'
import * as brokers from './brokers.ts'
import * as cluster from './cluster.ts'
import * as security from './security.ts'
import * as topics from './topics.ts'

/** The records of `__cluster_metadata`, by name. Source: KIP-631. */
export const metadataRecords = { ...brokers, ...topics, ...cluster, ...security } as const

/** The name of a metadata record, such as `topicRecord`. */
export type MetadataRecordType = keyof typeof metadataRecords

/** A metadata record as decoded: its type, the version it was written in, and its fields. */
export type MetadataRecord = {
  [T in MetadataRecordType]: {
    readonly type: T
    readonly version: number
  } & Infer<(typeof metadataRecords)[T]>
}[MetadataRecordType]

/** A metadata record to encode; fields left out are at their default. */
export type MetadataRecordInput = {
  [T in MetadataRecordType]: {
    readonly type: T
    readonly version: number
  } & InferInput<(typeof metadataRecords)[T]>
}[MetadataRecordType]

const frameVersion = 1
const writer = new Writer()
const typesByKey = new Map<number, MetadataRecordType>(
  Object.entries(metadataRecords).map(([type, { apiKey }]) => [apiKey!, type as MetadataRecordType]),
)

/**
 * The record's value in the log: frame version 1, record type, version (each a uvarint), body. Throws as
 * `encode`.
 */
export function encodeMetadataRecord(record: MetadataRecordInput): Uint8Array {
  const schema: Message = metadataRecords[record.type]
  writer.begin()
  writer.uvarint(frameVersion)
  writer.uvarint(schema.apiKey!)
  writer.uvarint(record.version)
  encodeInto(schema, record.version, record, writer)
  return writer.finish()
}

/**
 * The record in a value of the log. Throws `EngineError('unsupportedFormat')` for a frame, type or version that
 * this release does not know, and `malformed` for bytes that do not decode.
 */
export function decodeMetadataRecord(value: Uint8Array): MetadataRecord {
  const reader = new Reader(value)
  const frame = reader.uvarint()
  if (frame !== frameVersion) throw unsupported(`frame version ${frame}`)
  const key = reader.uvarint()
  const type = typesByKey.get(key)
  if (type === undefined) throw unsupported(`type ${key}`)
  const version = reader.uvarint()
  const schema: Message = metadataRecords[type]
  if (!inRange(schema.valid, version)) throw unsupported(`version ${version} of ${type}`)
  try {
    return { type, version, ...decode(schema, version, value.subarray(reader.position)) } as MetadataRecord
  } catch (error) {
    throw error instanceof EngineError ? malformed(`${type} ${error.message}`) : error
  }
}

function unsupported(what: string): EngineError {
  return new EngineError(
    'unsupportedFormat',
    `a metadata record has ${what}, which this release does not know`,
  )
}
