import { array, int32, message, nullableBytes, nullableString, string } from '../schema.ts'

/**
 * What a consumer tells its group's leader; opaque to the broker. Source: KIP-429 (cooperative), KIP-792
 * (generation), KIP-881 (rack).
 */
export const consumerProtocolSubscription = message(
  null,
  { valid: '0-3', flexible: 'none' },
  {
    topics: array('0+', 'string'),
    userData: nullableBytes('0+', { default: null }),
    // KIP-429.
    ownedPartitions: array(
      '1+',
      {
        topic: string('1+'),
        partitions: array('1+', 'int32'),
      },
      { ignorable: true },
    ),
    generationId: int32('2+', { default: -1, ignorable: true }), // KIP-792.
    rackId: nullableString('3+', { default: null, ignorable: true }), // KIP-881.
  },
)

/** The partitions that the leader gives to a consumer; opaque to the broker. */
export const consumerProtocolAssignment = message(
  null,
  { valid: '0-3', flexible: 'none' },
  {
    assignedPartitions: array('0+', {
      topic: string('0+'),
      partitions: array('0+', 'int32'),
    }),
    userData: nullableBytes('0+', { default: null }),
  },
)
