import { codeNamed, EngineError } from '../../model/errors.ts'
import { decode, encode } from '../../protocol/codec.ts'
import {
  type Infer,
  int8,
  int32,
  int64,
  message,
  nullableBytes,
  string,
  uuid,
} from '../../protocol/schema.ts'

/** The first byte of the payload of a call that is a host's own business, not that of whoever runs on it. */
const repairKind = 64
const version = 0

const repairRequest = message(
  null,
  { valid: '0', flexible: '0+' },
  {
    kind: int8('0+', { default: repairKind }),
    topicId: uuid('0+'),
    partition: int32('0+'),
    /** The base offset of the first batch that is wanted. */
    fromOffset: int64('0+'),
    /** Exclusive. */
    toOffset: int64('0+'),
    maxBytes: int32('0+'),
    /** 1: nothing that is not committed. */
    committedOnly: int8('0+'),
  },
)

const repairResponse = message(
  null,
  { valid: '0', flexible: '0+' },
  {
    /** Name of the error, empty for none. */
    error: string('0+'),
    text: string('0+'),
    records: nullableBytes('0+', { default: null }),
  },
)

/** What a replica asks another for: batches from an offset on, about so many bytes, at least one batch. */
export type RepairRequest = Omit<Infer<typeof repairRequest>, 'kind'>

/** Whether a call is one that asks for a repair. */
export function isRepairCall(payload: Uint8Array): boolean {
  return payload[0] === repairKind
}

/** The payload of a call. */
export function encodeRepair(request: RepairRequest): Uint8Array {
  return encode(repairRequest, version, { ...request, kind: repairKind })
}

/** What a call asks for. Throws `malformed`. */
export function decodeRepair(payload: Uint8Array): RepairRequest {
  return decode(repairRequest, version, payload)
}

/** The answer to a call: batches, or why there are none. */
export function encodeRepairAnswer(records: Uint8Array | EngineError): Uint8Array {
  if (records instanceof Uint8Array) return encode(repairResponse, version, { records })
  return encode(repairResponse, version, { error: records.code, text: records.message })
}

/** The batches of an answer. Throws why there are none, and `malformed`. */
export function decodeRepairAnswer(bytes: Uint8Array): Uint8Array {
  const { error, text, records } = decode(repairResponse, version, bytes)
  if (error === '' && records !== null && records.length > 0) return records
  throw new EngineError(codeNamed(error), text)
}
