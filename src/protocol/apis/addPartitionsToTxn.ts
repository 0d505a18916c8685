import { array, bool, int16, int32, int64, message, string } from '../schema.ts'

/** A topic and the partitions to add. */
const addPartitionsToTxnTopic = {
  name: string('0+'),
  partitions: array('0+', 'int32'),
}

/**
 * Adds partitions to a transaction; from version 4 on in batches, between brokers. Source: KIP-98, KIP-890.
 */
export const addPartitionsToTxnRequest = message(
  24,
  { valid: '0-5', flexible: '3+' },
  {
    // KIP-890.
    transactions: array('4+', {
      transactionalId: string('4+'),
      producerId: int64('4+'),
      producerEpoch: int16('4+'),
      verifyOnly: bool('4+'),
      topics: array('4+', addPartitionsToTxnTopic),
    }),
    v3AndBelowTransactionalId: string('0-3'),
    v3AndBelowProducerId: int64('0-3'),
    v3AndBelowProducerEpoch: int16('0-3'),
    v3AndBelowTopics: array('0-3', addPartitionsToTxnTopic),
  },
)

const addPartitionsToTxnPartitionResult = {
  partitionIndex: int32('0+'),
  partitionErrorCode: int16('0+'),
}

/** A topic and how its partitions fared. */
const addPartitionsToTxnTopicResult = {
  name: string('0+'),
  resultsByPartition: array('0+', addPartitionsToTxnPartitionResult),
}

/** Whether each partition was added. */
export const addPartitionsToTxnResponse = message(
  24,
  { valid: '0-5', flexible: '3+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('4+', { ignorable: true }),
    // KIP-890.
    resultsByTransaction: array('4+', {
      transactionalId: string('4+'),
      topicResults: array('4+', addPartitionsToTxnTopicResult),
    }),
    resultsByTopicV3AndBelow: array('0-3', addPartitionsToTxnTopicResult),
  },
)
