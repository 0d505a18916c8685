import { array, bool, int8, int16, int32, message, nullableString, string } from '../schema.ts'

/**
 * Asks for the brokers or controllers of the cluster. Source: KIP-700, KIP-919 (controllers), KIP-1073
 * (fenced brokers).
 */
export const describeClusterRequest = message(
  60,
  { valid: '0-2', flexible: '0+' },
  {
    includeClusterAuthorizedOperations: bool('0+'),
    endpointType: int8('1+', { default: 1 }), // 1: brokers, 2: controllers. KIP-919.
    includeFencedBrokers: bool('2+'), // KIP-1073.
  },
)

/** The cluster id, the controller and the brokers. */
export const describeClusterResponse = message(
  60,
  { valid: '0-2', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: nullableString('0+', { default: null }),
    endpointType: int8('1+', { default: 1 }),
    clusterId: string('0+'),
    controllerId: int32('0+', { default: -1 }),
    brokers: array('0+', {
      brokerId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: nullableString('0+', { default: null }),
      isFenced: bool('2+'), // KIP-1073.
    }),
    clusterAuthorizedOperations: int32('0+', { default: -0x8000_0000 }), // -2^31: not asked for.
  },
)
