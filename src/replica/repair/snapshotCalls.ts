import { codeNamed, EngineError } from '../../model/errors.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { bytes, type Infer, int8, int32, int64, message, string, uuid } from '../../protocol/schema.ts'
import type { SnapshotId } from '../../raft.ts'

/** The first byte of the payload of a call that asks for a snapshot, beside those for records. */
const snapshotKind = 65
const version = 0

const snapshotRequest = message(
  null,
  { valid: '0', flexible: '0+' },
  {
    kind: int8('0+', { default: snapshotKind }),
    topicId: uuid('0+'),
    partition: int32('0+'),
    /** One that ends there or later is wanted. */
    fromOffset: int64('0+'),
    /** Which one a further part is asked of; -1 for the latest, whose first part is then wanted. */
    endOffset: int64('0+', { default: -1 }),
    epoch: int32('0+', { default: -1 }),
    position: int64('0+'),
  },
)

const snapshotResponse = message(
  null,
  { valid: '0', flexible: '0+' },
  {
    /** Name of the error, empty for none. */
    error: string('0+'),
    text: string('0+'),
    endOffset: int64('0+'),
    epoch: int32('0+'),
    sizeBytes: int64('0+'),
    content: bytes('0+'),
  },
)

/** What a replica asks another for: a part of a snapshot, from a position on. */
export type SnapshotAsk = Omit<Infer<typeof snapshotRequest>, 'kind'>

/** A part of a snapshot. */
export interface SnapshotPart {
  readonly id: SnapshotId
  /** Of the whole. */
  readonly sizeBytes: number
  readonly content: Uint8Array
}

/** Whether a call is one that asks for a snapshot. */
export function isSnapshotCall(payload: Uint8Array): boolean {
  return payload[0] === snapshotKind
}

/** The payload of a call. */
export function encodeSnapshotAsk(ask: SnapshotAsk): Uint8Array {
  return encode(snapshotRequest, version, { ...ask, kind: snapshotKind })
}

/** What a call asks for. Throws `malformed`. */
export function decodeSnapshotAsk(payload: Uint8Array): SnapshotAsk {
  return decode(snapshotRequest, version, payload)
}

/** The answer to a call: a part, or why there is none. */
export function encodeSnapshotPart(part: SnapshotPart | EngineError): Uint8Array {
  const nothing = { endOffset: -1, epoch: -1, sizeBytes: 0, content: new Uint8Array(0) }
  if (part instanceof EngineError)
    return encode(snapshotResponse, version, { error: part.code, text: part.message, ...nothing })
  const { id, sizeBytes, content } = part
  return encode(snapshotResponse, version, { error: '', text: '', ...id, sizeBytes, content })
}

/** The part of an answer. Throws why there is none, and `malformed`. */
export function decodeSnapshotPart(payload: Uint8Array): SnapshotPart {
  const { error, text, endOffset, epoch, sizeBytes, content } = decode(snapshotResponse, version, payload)
  if (error === '') return { id: { endOffset, epoch }, sizeBytes, content }
  throw new EngineError(codeNamed(error), text)
}
