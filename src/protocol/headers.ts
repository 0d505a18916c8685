import { partBytes, type SendPart } from '../model/fileRange.ts'
import { type AnyApi, apiKeys } from './apiKeys.ts'
import { decodeFrom, encodeInto, isFlexible } from './codec.ts'
import { requestSchema } from './plannedApis.ts'
import { malformed, Reader } from './reader.ts'
import type { Infer, InferInput } from './schema.ts'
import { Writer } from './writer.ts'

/** Frames: an int32 size, a header, a body. Source: Kafka protocol guide; KIP-482 for the tagged section. */

/** What stands before a request's body. */
export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
  /** Where the body begins, in bytes from the start of the frame without its size. */
  readonly bodyPosition: number
}

const maxTaggedFields = 10_000
const apiVersionsKey = apiKeys.apiVersions.key
const writer = new Writer()

/**
 * The header of a request, version 1, or 2 when the body is flexible (always so for ApiVersions newer than the
 * schema). `frame` is the request without its size. An API without a schema is read as version 1.
 * Throws `EngineError('malformed')`.
 */
export function decodeRequestHeader(frame: Uint8Array): RequestHeader {
  const reader = new Reader(frame)
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  const length = reader.int16()
  if (length < -1) throw malformed(`clientId: the length ${length} is negative`)
  const clientId = length < 0 ? null : reader.text(length)
  const schema = requestSchema(apiKey)
  if (schema !== null && isFlexible(schema, apiVersion)) skipTagged(reader)
  return { apiKey, apiVersion, correlationId, clientId, bodyPosition: reader.position }
}

/** The body of a request whose header was read: all that follows it in `frame`. Throws as `decode`. */
export function decodeRequestBody<A extends AnyApi>(
  api: A,
  header: RequestHeader,
  frame: Uint8Array,
): Infer<A['request']> {
  const reader = new Reader(frame, header.bodyPosition)
  return finish(reader, decodeFrom(api.request, header.apiVersion, reader) as Infer<A['request']>)
}

/** A whole response frame, size included. File ranges of the body come as parts of their own. */
export function encodeResponse<A extends AnyApi>(
  api: A,
  version: number,
  correlationId: number,
  body: InferInput<A['response']>,
): SendPart[] {
  writer.begin(true)
  writer.reserve(4)
  writer.int32(correlationId)
  if (hasTaggedResponseHeader(api, version)) writer.uvarint(0)
  encodeInto(api.response, version, body, writer)
  return finishFrame()
}

/** A whole request frame, size included. */
export function encodeRequest<A extends AnyApi>(
  api: A,
  version: number,
  correlationId: number,
  clientId: string | null,
  body: InferInput<A['request']>,
): SendPart[] {
  writer.begin(true)
  writer.reserve(4)
  writer.int16(api.key)
  writer.int16(version)
  writer.int32(correlationId)
  if (clientId === null) writer.int16(-1)
  else writer.string(clientId)
  if (isFlexible(api.request, version)) writer.uvarint(0)
  encodeInto(api.request, version, body, writer)
  return finishFrame()
}

/** The correlation id of a response; `frame` is without its size. Throws `EngineError('malformed')`. */
export function decodeCorrelationId(frame: Uint8Array): number {
  return new Reader(frame).int32()
}

/** The body of a response to a request of `version`; `frame` is without its size. Throws as `decode`. */
export function decodeResponse<A extends AnyApi>(
  api: A,
  version: number,
  frame: Uint8Array,
): Infer<A['response']> {
  const reader = new Reader(frame, 4)
  if (hasTaggedResponseHeader(api, version)) skipTagged(reader)
  return finish(reader, decodeFrom(api.response, version, reader) as Infer<A['response']>)
}

/**
 * The answer to an ApiVersions request newer than this release: a body of version 0 (so encode it as such) that
 * names only ApiVersions, from which the client learns what to retry with. Source: KIP-511.
 */
export const unsupportedApiVersionsResponse: InferInput<typeof apiKeys.apiVersions.response> = {
  errorCode: 35,
  apiKeys: [
    { apiKey: apiVersionsKey, minVersion: apiKeys.apiVersions.min, maxVersion: apiKeys.apiVersions.max },
  ],
}

/** ApiVersions keeps header version 0, which a client that knows nothing of the broker yet can read. */
function hasTaggedResponseHeader(api: AnyApi, version: number): boolean {
  return api.key !== apiVersionsKey && isFlexible(api.response, version)
}

/** Moves past a section of tagged fields. Source: KIP-482. */
export function skipTagged(reader: Reader): void {
  const count = reader.uvarint()
  if (count > maxTaggedFields) throw malformed(`${count} tagged fields are more than ${maxTaggedFields}`)
  for (let i = 0; i < count; i++) {
    reader.uvarint()
    reader.take(reader.uvarint())
  }
}

function finish<T>(reader: Reader, body: T): T {
  if (reader.position !== reader.end) throw malformed(`${reader.remaining} bytes follow the message`)
  return body
}

function finishFrame(): SendPart[] {
  let size = writer.position - writer.start - 4
  for (const { parts } of writer.inserts) {
    for (const part of parts) size += partBytes(part)
  }
  if (size > 0x7fff_ffff) throw malformed(`a frame of ${size} bytes is longer than an int32 can say`)
  writer.setInt32(writer.start, size)
  return writer.finishParts()
}
