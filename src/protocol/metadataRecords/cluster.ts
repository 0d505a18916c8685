import {
  array,
  bool,
  float64,
  int8,
  int16,
  int32,
  int64,
  message,
  nullableString,
  string,
} from '../schema.ts'

/**
 * One entry of a configuration; a null value removes it. Resource types: 2 topic, 4 broker. Source: KIP-631.
 */
export const configRecord = message(
  4,
  { valid: '0', flexible: '0+' },
  {
    resourceType: int8('0+'),
    resourceName: string('0+'),
    name: string('0+'),
    value: nullableString('0+'),
  },
)

/** A quota of an entity was set or removed. Source: KIP-546. */
export const clientQuotaRecord = message(
  14,
  { valid: '0', flexible: '0+' },
  {
    entity: array('0+', {
      entityType: string('0+'),
      entityName: nullableString('0+'),
    }),
    key: string('0+'),
    value: float64('0+'),
    remove: bool('0+'),
  },
)

/** A feature of the cluster is finalised at this level. Source: KIP-584, KIP-778. */
export const featureLevelRecord = message(
  12,
  { valid: '0', flexible: '0+' },
  {
    name: string('0+'),
    featureLevel: int16('0+'),
  },
)

/** Producer ids below `nextProducerId` have been handed to brokers in blocks. Source: KIP-730. */
export const producerIdsRecord = message(
  15,
  { valid: '0', flexible: '0+' },
  {
    brokerId: int32('0+'),
    brokerEpoch: int64('0+', { default: -1 }),
    nextProducerId: int64('0+'),
  },
)

/** Nothing; it moves the high watermark on. Source: KIP-835. */
export const noOpRecord = message(20, { valid: '0', flexible: '0+' }, {})

/** How far a migration from ZooKeeper has come. Source: KIP-866. */
export const zkMigrationStateRecord = message(
  21,
  { valid: '0', flexible: '0+' },
  {
    zkMigrationState: int8('0+'),
  },
)

/** The records up to the end of this transaction take effect together. Source: KIP-868. */
export const beginTransactionRecord = message(
  23,
  { valid: '0', flexible: '0+' },
  {
    name: nullableString('0+', { default: null, tag: 0 }),
  },
)

/** The records since the beginning of the transaction take effect. Source: KIP-868. */
export const endTransactionRecord = message(24, { valid: '0', flexible: '0+' }, {})

/** The records since the beginning of the transaction are void. Source: KIP-868. */
export const abortTransactionRecord = message(
  25,
  { valid: '0', flexible: '0+' },
  {
    reason: nullableString('0+', { default: null, tag: 0 }),
  },
)
