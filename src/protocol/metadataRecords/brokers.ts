import {
  array,
  bool,
  int8,
  int16,
  int32,
  int64,
  message,
  nullableArray,
  nullableString,
  string,
  uint16,
  uuid,
} from '../schema.ts'

/** A broker has registered, fenced until it has caught up. Source: KIP-631, KIP-858 (directories). */
export const registerBrokerRecord = message(
  0,
  { valid: '0-4', flexible: '0+' },
  {
    brokerId: int32('0+'),
    isMigratingZkBroker: bool('2+'),
    incarnationId: uuid('0+'),
    brokerEpoch: int64('0+'),
    endPoints: array('0+', {
      name: string('0+'),
      host: string('0+'),
      port: uint16('0+'),
      securityProtocol: int16('0+'),
    }),
    features: array('0+', {
      name: string('0+'),
      minSupportedVersion: int16('0+'),
      maxSupportedVersion: int16('0+'),
    }),
    rack: nullableString('0+'),
    fenced: bool('0+', { default: true }),
    inControlledShutdown: bool('1+'), // KIP-841.
    logDirs: array('3+', 'uuid', { tag: 0 }), // KIP-858.
    cordonedLogDirs: nullableArray('4+', 'uuid', { default: null, tag: 1 }), // KIP-1066.
  },
)

/** A broker has left the cluster for good. */
export const unregisterBrokerRecord = message(
  1,
  { valid: '0', flexible: '0+' },
  {
    brokerId: int32('0+'),
    brokerEpoch: int64('0+'),
  },
)

/**
 * What changed in a registration. Fenced and controlled shutdown: 1 begins, -1 ends, 0 unchanged. Source:
 * KIP-746, KIP-841.
 */
export const brokerRegistrationChangeRecord = message(
  17,
  { valid: '0-3', flexible: '0+' },
  {
    brokerId: int32('0+'),
    brokerEpoch: int64('0+'),
    fenced: int8('0+', { tag: 0 }),
    inControlledShutdown: int8('1+', { tag: 1 }),
    logDirs: array('2+', 'uuid', { tag: 2 }), // KIP-858.
    cordonedLogDirs: nullableArray('3+', 'uuid', { default: null, tag: 3 }), // KIP-1066.
  },
)

/** A broker is fenced. Replaced by BrokerRegistrationChangeRecord. */
export const fenceBrokerRecord = message(
  7,
  { valid: '0', flexible: '0+' },
  {
    id: int32('0+'),
    epoch: int64('0+'),
  },
)

/** A broker is no longer fenced. Replaced by BrokerRegistrationChangeRecord. */
export const unfenceBrokerRecord = message(
  8,
  { valid: '0', flexible: '0+' },
  {
    id: int32('0+'),
    epoch: int64('0+'),
  },
)

/** A controller has registered. Source: KIP-919. */
export const registerControllerRecord = message(
  27,
  { valid: '0', flexible: '0+' },
  {
    controllerId: int32('0+'),
    incarnationId: uuid('0+'),
    zkMigrationReady: bool('0+'),
    endPoints: array('0+', {
      name: string('0+'),
      host: string('0+'),
      port: uint16('0+'),
      securityProtocol: int16('0+'),
    }),
    features: array('0+', {
      name: string('0+'),
      minSupportedVersion: int16('0+'),
      maxSupportedVersion: int16('0+'),
    }),
  },
)

/** A controller has left the cluster for good. */
export const unregisterControllerRecord = message(
  29,
  { valid: '0', flexible: '0+' },
  {
    controllerId: int32('0+'),
  },
)
