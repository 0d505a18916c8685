import {
  array,
  bool,
  int16,
  int32,
  int64,
  message,
  nullableString,
  nullableStruct,
  string,
} from '../schema.ts'
import { privateTag } from './quorumFields.ts'

/**
 * Asks which APIs and features the broker has; the first request on a connection. Source: KIP-35, KIP-511
 * (client software).
 */
export const apiVersionsRequest = message(
  18,
  { valid: '0-5', flexible: '3+' },
  {
    clientSoftwareName: string('3+', { ignorable: true }), // KIP-511.
    clientSoftwareVersion: string('3+', { ignorable: true }),
    clusterId: nullableString('5+', { default: null, ignorable: true }),
    nodeId: int32('5+', { default: -1, ignorable: true }),
    // Private: which node asks, and what the connection is for.
    peer: nullableStruct(
      '5+',
      {
        nodeId: int32('0+'),
        channel: string('0+'),
      },
      { default: null, tag: privateTag, ignorable: true },
    ),
  },
)

/** The range of versions of each API, and the features of the cluster. Source: KIP-35, KIP-584 (features). */
export const apiVersionsResponse = message(
  18,
  { valid: '0-5', flexible: '3+' },
  {
    errorCode: int16('0+'),
    apiKeys: array('0+', {
      apiKey: int16('0+'),
      minVersion: int16('0+'),
      maxVersion: int16('0+'),
    }),
    throttleTimeMs: int32('1+', { ignorable: true }),
    // KIP-584.
    supportedFeatures: array(
      '3+',
      {
        name: string('3+'),
        minVersion: int16('3+'),
        maxVersion: int16('3+'),
      },
      { tag: 0, ignorable: true },
    ),
    finalizedFeaturesEpoch: int64('3+', { default: -1, tag: 1, ignorable: true }),
    finalizedFeatures: array(
      '3+',
      {
        name: string('3+'),
        maxVersionLevel: int16('3+'),
        minVersionLevel: int16('3+'),
      },
      { tag: 2, ignorable: true },
    ),
    zkMigrationReady: bool('3+', { tag: 3, ignorable: true }),
    // Private: which node answers.
    peer: nullableStruct(
      '5+',
      {
        clusterId: nullableString('0+', { default: null }),
        nodeId: int32('0+'),
      },
      { default: null, tag: privateTag, ignorable: true },
    ),
  },
)
