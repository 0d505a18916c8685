import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ProducePrefix } from '../../src/broker/handlers/producePrefix.ts'
import { uuidFromBytes } from '../../src/model/uuid.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { decodeRequestHeader, encodeRequest } from '../../src/protocol/headers.ts'

const produce = { ...apiKeys.produce, max: 13 }

const requests = fc.record({
  version: fc.integer({ min: 3, max: 13 }),
  transactionalId: fc.option(fc.string({ maxLength: 200 })),
  acks: fc.constantFrom(-1, 0, 1),
  timeoutMs: fc.integer({ min: 0, max: 60_000 }),
  topicData: fc.array(
    fc.record({
      name: fc.string({ minLength: 1, maxLength: 200 }),
      topicId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(uuidFromBytes),
      partitionData: fc.array(
        fc.record({
          index: fc.integer({ min: 0, max: 1000 }),
          records: fc.option(fc.uint8Array({ maxLength: 300 })),
        }),
        { maxLength: 5 },
      ),
    }),
    { maxLength: 5 },
  ),
})

/** The request without its size, and where its body begins. */
function encoded({ version, ...body }: typeof requests extends fc.Arbitrary<infer R> ? R : never) {
  const frame = Buffer.concat(encodeRequest(produce, version, 7, 'client', body) as Uint8Array[])
  const bytes = frame.subarray(4)
  return { bytes, bodyPosition: decodeRequestHeader(bytes).bodyPosition }
}

test('partitions come out in the order of the request as soon as their bytes are there, however it is cut', () => {
  fc.assert(
    fc.property(requests, fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (request, steps) => {
      const { version, transactionalId, acks, timeoutMs, topicData } = request
      const { bytes, bodyPosition } = encoded(request)
      // What has not arrived is of another request.
      const memory = Buffer.alloc(bytes.length, 1)
      const prefix = new ProducePrefix(memory, bodyPosition, version)
      const taken: unknown[] = []
      for (let end = 0, step = 0; end < bytes.length; step++) {
        const from = end
        end = Math.min(bytes.length, end + steps[step % steps.length]!)
        bytes.copy(memory, from, from, end)
        for (let next = prefix.next(end); next !== null; next = prefix.next(end)) {
          const { name, topicId, index, records } = next
          taken.push([version < 13 ? name : topicId, index, records === null ? null : [...records]])
        }
      }
      const expected = topicData.flatMap(({ name, topicId, partitionData }) =>
        partitionData.map(({ index, records }) => [
          version < 13 ? name : topicId,
          index,
          records === null ? null : [...records],
        ]),
      )
      expect(taken).toEqual(expected)
      expect(prefix.terms).toEqual({ transactionalId, acks, timeoutMs })
      expect(prefix.next(bytes.length)).toBeNull()
    }),
  )
})

test('it never reads behind what has arrived, and gives nothing of what is no request', () => {
  fc.assert(
    fc.property(requests, fc.nat(), fc.uint8Array({ maxLength: 40 }), (request, cut, rest) => {
      const { bytes, bodyPosition } = encoded(request)
      const end = cut % (bytes.length + 1)
      const memory = Buffer.concat([bytes.subarray(0, end), rest])
      const prefix = new ProducePrefix(memory, bodyPosition, request.version)
      for (let next = prefix.next(end); next !== null; next = prefix.next(end)) {
        const { records } = next
        if (records === null || records.length === 0) continue
        expect(records.byteOffset - memory.byteOffset + records.length).toBeLessThanOrEqual(end)
      }
      const hostile = new ProducePrefix(Buffer.from(rest), 0, request.version)
      for (let count = 0; hostile.next(rest.length) !== null; count++) expect(count).toBeLessThan(rest.length)
    }),
  )
})
