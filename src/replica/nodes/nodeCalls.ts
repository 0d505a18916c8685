import { codeNamed, EngineError, messageOf } from '../../model/errors.ts'
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
import { NotLeaderError } from '../notLeader.ts'

/** What one node asks of another. */
export const CallKind = {
  /** Who are you? Asked of the nodes that one is told of. */
  hello: 0,
  /** Appends ready batches to a partition that the other node leads. */
  append: 1,
  /** What is committed by now, for a linearizable read. */
  readIndex: 2,
  /** Makes a partition, if there is none. */
  createPartition: 3,
  removeTopic: 4,
  addVoter: 5,
  removeVoter: 6,
  updateVoter: 7,
  transferLeadership: 8,
  /** Has the active controller of brokers decide on a command. */
  command: 9,
  /** Tells the active controller that a broker lives. */
  heartbeat: 10,
  /** How the replicas of the metadata log are doing, as its leader knows. */
  describeQuorum: 11,
  /** Has the log of a replica begin at an offset: a leader was asked to delete what is before. */
  beginAt: 12,
  /** Has a replica ask for votes once, those of replicas that may have forgotten something counted. */
  uncleanElection: 13,
} as const

/** A number of `CallKind`. */
export type CallKindNumber = (typeof CallKind)[keyof typeof CallKind]

const version = 0

/** A request between nodes of a cluster; fields that a kind does not need are at their defaults. */
const callRequest = message(
  null,
  { valid: '0', flexible: '0+' },
  {
    kind: int8('0+'),
    clusterId: string('0+'),
    /** Who asks. */
    nodeId: int32('0+'),
    directoryId: uuid('0+'),
    topicId: uuid('0+'),
    topic: string('0+'),
    partition: int32('0+'),
    /** -1: all, 1: leader. */
    acks: int8('0+', { default: -1 }),
    records: nullableBytes('0+', { default: null }),
    /** JSON: settings of a partition, or a voter. */
    json: string('0+'),
    /** What a command is, JSON in UTF-8. */
    payload: nullableBytes('0+', { default: null }),
  },
)

const callResponse = message(
  null,
  { valid: '0', flexible: '0+' },
  {
    /** Name of the error, empty for none. */
    error: string('0+'),
    text: string('0+'),
    leaderId: int32('0+', { default: -1 }),
    baseOffset: int64('0+', { default: -1 }),
    lastOffset: int64('0+', { default: -1 }),
    leaderEpoch: int32('0+', { default: -1 }),
    /** 1: the records had been there before. */
    duplicate: int8('0+'),
    clusterId: string('0+'),
    nodeId: int32('0+', { default: -1 }),
    directoryId: uuid('0+'),
    /** What came of a command, JSON in UTF-8. */
    payload: nullableBytes('0+', { default: null }),
  },
)

/** A request between nodes. */
export type CallRequest = Infer<typeof callRequest>
/** The answer to one. */
export type CallResponse = Infer<typeof callResponse>

/** The bytes of a request. */
export function encodeCall(request: Partial<CallRequest> & { readonly kind: CallKindNumber }): Uint8Array {
  return encode(callRequest, version, request)
}

/** The request in `bytes`. Throws `malformed`. */
export function decodeCall(bytes: Uint8Array): CallRequest {
  return decode(callRequest, version, bytes)
}

/** The bytes of an answer. */
export function encodeAnswer(answer: Partial<CallResponse>): Uint8Array {
  return encode(callResponse, version, answer)
}

/** The bytes of an answer that says what went wrong. */
export function encodeFailure(cause: unknown): Uint8Array {
  const error = cause instanceof EngineError ? cause.code : 'unknownServerError'
  const text = messageOf(cause)
  const leaderId = cause instanceof NotLeaderError ? cause.leaderId : -1
  return encodeAnswer({ error, text, leaderId })
}

/** The payload that answers a hello: ids of those that vote, as far as the node that was asked knows; none while it does not. */
export function sayVoters(ids: readonly number[]): Uint8Array {
  return Buffer.from(JSON.stringify(ids))
}

/** Reads what `sayVoters` wrote. Throws `malformed`. */
export function votersSaid(payload: Uint8Array | null): readonly number[] {
  try {
    const ids: unknown = JSON.parse(Buffer.from(payload ?? []).toString())
    if (Array.isArray(ids) && ids.every((id) => Number.isSafeInteger(id))) return ids
  } catch {
    // Said below.
  }
  throw new EngineError('malformed', 'an answer to a hello without voters')
}

/** The answer in `bytes`. Throws the error that it tells of, and `malformed`. */
export function decodeAnswer(bytes: Uint8Array): CallResponse {
  const answer = decode(callResponse, version, bytes)
  if (answer.error === '') return answer
  const code = codeNamed(answer.error)
  if (code === 'notLeaderOrFollower') throw new NotLeaderError(answer.leaderId)
  throw new EngineError(code, answer.text)
}
