import { array, bool, int16, int32, message, nullableArray, nullableString, string, uuid } from '../schema.ts'

/** Asks which brokers there are and who leads the partitions of some topics; null asks for all of them. */
export const metadataRequest = message(
  3,
  { valid: '0-13', flexible: '9+' },
  {
    topics: nullableArray(
      '0+',
      {
        topicId: uuid('10+', { ignorable: true }), // KIP-516; a topic is named by id alone from version 12 on.
        name: nullableString('0+', { nullable: '10+' }),
      },
      { nullable: '1+' },
    ),
    allowAutoTopicCreation: bool('4+', { default: true }),
    includeClusterAuthorizedOperations: bool('8-10'), // KIP-430.
    includeTopicAuthorizedOperations: bool('8+'),
  },
)

/** The brokers, the controller, and the partitions of the topics asked for. */
export const metadataResponse = message(
  3,
  { valid: '0-13', flexible: '9+' },
  {
    throttleTimeMs: int32('3+', { ignorable: true }),
    brokers: array('0+', {
      nodeId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: nullableString('1+', { default: null, ignorable: true }),
    }),
    clusterId: nullableString('2+', { default: null, ignorable: true }),
    controllerId: int32('1+', { default: -1, ignorable: true }),
    topics: array('0+', {
      errorCode: int16('0+'),
      name: nullableString('0+', { nullable: '12+' }),
      topicId: uuid('10+', { ignorable: true }), // KIP-516.
      isInternal: bool('1+', { ignorable: true }),
      partitions: array('0+', {
        errorCode: int16('0+'),
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('7+', { default: -1, ignorable: true }), // KIP-320.
        replicaNodes: array('0+', 'int32'),
        isrNodes: array('0+', 'int32'),
        offlineReplicas: array('5+', 'int32', { ignorable: true }), // KIP-112.
      }),
      topicAuthorizedOperations: int32('8+', { default: -0x8000_0000 }), // -2^31: not asked for. KIP-430.
    }),
    clusterAuthorizedOperations: int32('8-10', { default: -0x8000_0000 }), // -2^31: not asked for. KIP-430.
    errorCode: int16('13+', { ignorable: true }), // KIP-1102.
  },
)
