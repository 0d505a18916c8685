import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import {
  type CoordinatorKey,
  decodeCoordinatorKey,
  decodeCoordinatorValue,
  encodeCoordinatorKey,
  encodeCoordinatorValue,
} from '../../src/protocol/coordinatorRecords/coordinatorRecord.ts'
import { consumerProtocolSubscription } from '../../src/protocol/files/consumerProtocol.ts'
import {
  type ControlRecordInput,
  decodeControlRecord,
  encodeControlRecord,
} from '../../src/protocol/files/controlRecord.ts'
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
  type MetadataRecordInput,
  type MetadataRecordType,
  metadataRecords,
} from '../../src/protocol/metadataRecords/metadataRecord.ts'
import { decodeForward, decodeVersioned, encodeVersioned } from '../../src/protocol/versioned.ts'
import { messageArbitrary } from './arbitraries.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const malformed = expect.objectContaining({ code: 'malformed' })
const unsupportedFormat = expect.objectContaining({ code: 'unsupportedFormat' })

describe('metadata records', () => {
  test('stand behind frame version, type and version, each a varint', () => {
    const value = encodeMetadataRecord({
      type: 'featureLevelRecord',
      version: 0,
      name: 'metadata.version',
      featureLevel: 7,
    })
    expect(hex(value)).toBe(`010c0011${Buffer.from('metadata.version').toString('hex')}000700`)
    expect(decodeMetadataRecord(value)).toEqual({
      type: 'featureLevelRecord',
      version: 0,
      name: 'metadata.version',
      featureLevel: 7,
    })
  })

  test('every type and version comes back', () => {
    for (const type of Object.keys(metadataRecords) as MetadataRecordType[]) {
      const schema = metadataRecords[type]
      for (let version = schema.valid.from; version <= schema.valid.to; version++) {
        fc.assert(
          fc.property(messageArbitrary(schema, version), (fields) => {
            const record = { type, version, ...fields } as MetadataRecordInput
            expect(decodeMetadataRecord(encodeMetadataRecord(record))).toEqual(record)
          }),
          { numRuns: 10 },
        )
      }
    }
  })

  test('of an unknown frame, type or version are refused as a format of another release', () => {
    for (const text of ['020c00', '017f00', '010c01']) {
      expect(() => decodeMetadataRecord(bytesOf(text))).toThrow(unsupportedFormat)
    }
  })

  test('of any other bytes are refused with a code', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(30), (rest, key) => {
        try {
          decodeMetadataRecord(Uint8Array.of(1, key, 0, ...rest))
        } catch (error) {
          if (!(error instanceof EngineError)) throw error
          expect(['malformed', 'unsupportedFormat']).toContain(error.code)
        }
      }),
    )
  })
})

describe('coordinator records', () => {
  test('have keys of a record type and a body', () => {
    const key: CoordinatorKey = { type: 'offsetCommit', group: 'g', topic: 't', partition: 3 }
    expect(hex(encodeCoordinatorKey(key))).toBe('00010001670001740000' + '0003')
    expect(decodeCoordinatorKey(encodeCoordinatorKey(key))).toEqual(key)
    const group: CoordinatorKey = { type: 'groupMetadata', group: 'g' }
    expect(hex(encodeCoordinatorKey(group))).toBe('0002000167')
    expect(decodeCoordinatorKey(encodeCoordinatorKey(group))).toEqual(group)
  })

  test('of another type are told apart, and keys that are cut or too long are refused', () => {
    expect(decodeCoordinatorKey(bytesOf('0011000167'))).toBe(null)
    for (const text of ['', '00', '00010001670001740000', '000200016700']) {
      expect(() => decodeCoordinatorKey(bytesOf(text))).toThrow(malformed)
    }
  })

  test('have values behind their version, which is refused when it is newer', () => {
    const value = encodeCoordinatorValue('offsetCommit', 3, { offset: 9, metadata: 'm', commitTimestamp: 5 })
    expect(hex(value)).toBe('00030000000000000009ffffffff00016d0000000000000005')
    expect(decodeCoordinatorValue('offsetCommit', value)).toMatchObject({
      offset: 9,
      leaderEpoch: -1,
      metadata: 'm',
    })
    value[1] = 5
    expect(() => decodeCoordinatorValue('offsetCommit', value)).toThrow(unsupportedFormat)
  })
})

describe('control records', () => {
  const voters = [{ voterId: 1, voterDirectoryId: 'AAAAAAAAAAAAAAAAAAAAAg' }]
  const records: [ControlRecordInput, number, string, string][] = [
    [{ type: 'abort', coordinatorEpoch: 5 }, 0, '00000000', '000000000005'],
    [{ type: 'commit', coordinatorEpoch: 5 }, 0, '00000001', '000000000005'],
    [
      { type: 'leaderChange', leaderId: 1, voters: [{ voterId: 1 }] },
      0,
      '00000002',
      '000000000001' + '02' + '0000000100' + '01' + '00',
    ],
    [
      { type: 'leaderChange', leaderId: 1, voters },
      1,
      '00000002',
      '000100000001' + '02' + '00000001' + '00000000000000000000000000000002' + '00' + '01' + '00',
    ],
    [{ type: 'snapshotHeader', lastContainedLogTimestamp: 7 }, 0, '00000003', '0000000000000000000700'],
    [{ type: 'snapshotFooter' }, 0, '00000004', '000000'],
    [{ type: 'kraftVersion', kraftVersion: 1 }, 0, '00000005', '0000000100'],
    [{ type: 'kraftVoters', voters: [] }, 0, '00000006', '00000100'],
  ]

  test.each(records)('%o comes back', (record, version, key, value) => {
    const encoded = encodeControlRecord(record, version)
    expect(hex(encoded.key)).toBe(key)
    expect(hex(encoded.value)).toBe(value)
    expect(decodeControlRecord(encoded.key, encoded.value)).toMatchObject(record)
  })

  test('of an unknown type are told apart, and a value of another version is refused', () => {
    expect(decodeControlRecord(bytesOf('00000007'), bytesOf(''))).toBe(null)
    expect(() => decodeControlRecord(bytesOf('00000000'), bytesOf('000100000005'))).toThrow(malformed)
    expect(() => decodeControlRecord(bytesOf('00000000'), bytesOf('00000000000500'))).toThrow(malformed)
    expect(() => decodeControlRecord(bytesOf('0000'), bytesOf('000000000005'))).toThrow(malformed)
  })
})

describe('messages behind their version', () => {
  const subscription = { topics: ['a', 'b'], userData: null }

  test('come back, and a version that the schema lacks is refused', () => {
    const bytes = encodeVersioned(consumerProtocolSubscription, 1, subscription)
    expect(decodeVersioned(consumerProtocolSubscription, bytes)).toMatchObject(subscription)
    expect(() => decodeVersioned(consumerProtocolSubscription, Uint8Array.from([...bytes, 0]))).toThrow(
      malformed,
    )
    const newer = bytes.slice()
    newer[1] = 9
    expect(() => decodeVersioned(consumerProtocolSubscription, newer)).toThrow(unsupportedFormat)
  })

  test('of the consumer protocol are read forward: a newer version as the newest known, its additions ignored', () => {
    const bytes = Uint8Array.from([
      ...encodeVersioned(consumerProtocolSubscription, 3, subscription),
      1,
      2,
      3,
    ])
    bytes[1] = 9
    expect(decodeForward(consumerProtocolSubscription, bytes)).toMatchObject(subscription)
    bytes[0] = 0xff
    expect(() => decodeForward(consumerProtocolSubscription, bytes)).toThrow(malformed)
  })
})
