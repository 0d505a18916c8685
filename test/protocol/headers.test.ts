import { describe, expect, test } from 'vitest'
import { partBytes, type SendPart } from '../../src/model/fileRange.ts'
import { apiByKey, apiKeys } from '../../src/protocol/apiKeys.ts'
import { decode } from '../../src/protocol/codec.ts'
import {
  decodeCorrelationId,
  decodeRequestBody,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  unsupportedApiVersionsResponse,
} from '../../src/protocol/headers.ts'
import { apiName, plannedApis } from '../../src/protocol/plannedApis.ts'
import { Reader } from '../../src/protocol/reader.ts'
import { readVectors } from './vectors.ts'

const bytesOf = (parts: readonly SendPart[]) => Uint8Array.from(Buffer.concat(parts as readonly Uint8Array[]))

/** The frame without its size, which must be right. */
function unframed(parts: readonly SendPart[]): Uint8Array {
  const frame = bytesOf(parts)
  expect(new Reader(frame).int32()).toBe(frame.length - 4)
  return frame.subarray(4)
}

const malformed = expect.objectContaining({ code: 'malformed' })

describe('request headers', () => {
  test('every vector of version 1 and 2 is read and written as Kafka 4.4.0 does', () => {
    const vectors = readVectors().filter(({ name }) => name === 'RequestHeader')
    expect(vectors).toHaveLength(8)
    for (const { version, bytes } of vectors) {
      // The vectors name random APIs; which header a request has depends on its own.
      const header = bytes.slice()
      const apiVersion = version === 1 ? 8 : 9
      header.set([0, 0, 0, apiVersion])
      const { apiKey, correlationId, clientId, bodyPosition } = decodeRequestHeader(header)
      expect(apiKey).toBe(0)
      expect(bodyPosition).toBe(header.length)
      const again = unframed(encodeRequest(apiKeys.produce, apiVersion, correlationId, clientId, {}))
      expect(again.subarray(0, header.length)).toEqual(header)
    }
  })

  test('a request comes back, header and body', () => {
    const frame = unframed(encodeRequest(apiKeys.heartbeat, 4, 77, 'me', { groupId: 'g', generationId: 3 }))
    const header = decodeRequestHeader(frame)
    expect(header).toEqual({ apiKey: 12, apiVersion: 4, correlationId: 77, clientId: 'me', bodyPosition: 13 })
    expect(decodeRequestBody(apiKeys.heartbeat, header, frame)).toMatchObject({
      groupId: 'g',
      generationId: 3,
    })
    const longer = Uint8Array.from([...frame, 0])
    expect(() => decodeRequestBody(apiKeys.heartbeat, header, longer)).toThrow(malformed)
  })

  test('ApiVersions newer than this release is read with the flexible header (KIP-511)', () => {
    const frame = Uint8Array.of(0, 18, 0, 99, 0, 0, 0, 5, 0, 1, 97, 1, 3, 2, 8, 8, 1, 2, 3)
    expect(decodeRequestHeader(frame)).toMatchObject({
      apiVersion: 99,
      correlationId: 5,
      clientId: 'a',
      bodyPosition: 16,
    })
  })

  test('an unknown API has a header all the same', () => {
    const frame = Uint8Array.of(0x7f, 0xff, 0, 0, 0, 0, 0, 5, 255, 255)
    expect(apiByKey(0x7fff)).toBe(null)
    expect(decodeRequestHeader(frame)).toMatchObject({ apiKey: 0x7fff, clientId: null, bodyPosition: 10 })
  })

  test('an API that is planned is read with its own header, and has a name', () => {
    const frame = Uint8Array.of(0, 36, 0, 2, 0, 0, 0, 5, 255, 255, 0, 1, 0)
    expect(decodeRequestHeader(frame)).toMatchObject({ apiKey: 36, bodyPosition: 11 })
    expect(apiByKey(36)).toBe(null)
    expect([0, 36, 4711].map(apiName)).toEqual(['produce', 'saslAuthenticate', 'API 4711'])
    for (const [name, { request, response }] of Object.entries(plannedApis)) {
      expect(request.apiKey, name).toBe(response.apiKey)
      expect(request.valid, name).toEqual(response.valid)
    }
  })

  test('a header that is cut or lies is refused', () => {
    const frame = Uint8Array.of(0, 12, 0, 4, 0, 0, 0, 5, 0, 1, 97, 0)
    for (let length = 0; length < frame.length; length++) {
      expect(() => decodeRequestHeader(frame.subarray(0, length))).toThrow(malformed)
    }
    expect(() => decodeRequestHeader(Uint8Array.of(0, 12, 0, 4, 0, 0, 0, 5, 255, 254, 0))).toThrow(malformed)
    expect(() => decodeRequestHeader(new Uint8Array(Buffer.from('GET / HTTP/1.1\r\n')))).toThrow(malformed)
  })
})

describe('response headers', () => {
  test('every vector of version 0 and 1 is written and read as Kafka 4.4.0 does', () => {
    const vectors = readVectors().filter(({ name }) => name === 'ResponseHeader')
    expect(vectors).toHaveLength(8)
    for (const { version, bytes } of vectors) {
      const correlationId = decodeCorrelationId(bytes)
      const frame = unframed(encodeResponse(apiKeys.heartbeat, version === 0 ? 3 : 4, correlationId, {}))
      expect(frame.subarray(0, bytes.length)).toEqual(bytes)
      expect(decodeResponse(apiKeys.heartbeat, version === 0 ? 3 : 4, frame)).toEqual({
        throttleTimeMs: 0,
        errorCode: 0,
      })
    }
  })

  test('ApiVersions keeps header version 0 in its flexible versions', () => {
    const frame = unframed(encodeResponse(apiKeys.apiVersions, 3, 9, {}))
    expect(decode(apiKeys.apiVersions.response, 3, frame.subarray(4))).toMatchObject({ errorCode: 0 })
    expect(decodeResponse(apiKeys.apiVersions, 3, frame)).toMatchObject({ errorCode: 0 })
  })

  test('the size of a frame counts its file ranges', () => {
    const ranges = { lengthBytes: 70, parts: [{ file: { path: 'a' }, position: 5, lengthBytes: 70 }] }
    const parts = encodeResponse(apiKeys.fetch, 12, 1, { responses: [{ partitions: [{ records: ranges }] }] })
    const total = parts.reduce((sum, part) => sum + partBytes(part), 0)
    expect(new Reader(parts[0] as Uint8Array).int32()).toBe(total - 4)
    expect(parts).toHaveLength(3)
  })
})

describe('the table of APIs', () => {
  test('an unsupported ApiVersions is answered with version 0, error 35 and the range of ApiVersions alone (KIP-511)', () => {
    const frame = unframed(encodeResponse(apiKeys.apiVersions, 0, 5, unsupportedApiVersionsResponse))
    expect(decodeResponse(apiKeys.apiVersions, 0, frame)).toMatchObject({
      errorCode: 35,
      apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 5 }],
    })
  })

  test('no API is offered in a version that its schemas lack', () => {
    for (const [name, { key, min, max, advertisedMin, flexibleFrom, request, response }] of Object.entries(
      apiKeys,
    )) {
      expect(response.apiKey, name).toBe(key)
      expect(response.valid, name).toEqual(request.valid)
      expect(min, name).toBeGreaterThanOrEqual(request.valid.from)
      expect(max, name).toBeLessThanOrEqual(request.valid.to)
      expect(advertisedMin, name).toBeLessThanOrEqual(min)
      expect(apiByKey(key), name).toMatchObject({ min, max })
      expect(flexibleFrom, name).toBe(response.flexible.from)
    }
  })

  test('Produce is advertised from 0, so that librdkafka up to 2.11 compresses, though 3 is the first answered (KAFKA-18659)', () => {
    expect(apiKeys.produce).toMatchObject({ advertisedMin: 0, min: 3, max: 13 })
  })
})
