import { describe, expect, test } from 'vitest'
import { handleElectLeaders } from '../../src/broker/handlers/electLeaders.ts'
import {
  handleAlterPartitionReassignments,
  handleListPartitionReassignments,
} from '../../src/broker/handlers/reassignments.ts'
import type { RequestContext, Services } from '../../src/broker/services.ts'
import type { Election } from '../../src/controller/elections.ts'
import type { Reassignment, TopicPartition } from '../../src/controller/metadata.ts'
import { EngineError } from '../../src/model/errors.ts'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { createTopic } from './support/produce.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka

async function world() {
  const { broker } = await runBroker()
  const client = await RawClient.connect(broker)
  await createTopic(client, 'orders', 3)
  return client
}

describe('a broker that stands alone', () => {
  test('has led all along: ElectLeaders says so for what is asked, and nothing for all', async () => {
    const client = await world()
    const asked = [
      { topic: 'orders', partitions: [0, 9, 0] },
      { topic: 'nothing', partitions: [0] },
    ]
    for (const electionType of [0, 1]) {
      const some = await client.request(apiKeys.electLeaders, 2, { electionType, topicPartitions: asked })
      const codes = some.replicaElectionResults.map(({ topic, partitionResult }) => [
        topic,
        partitionResult.map(({ partitionId, errorCode }) => [partitionId, errorCode]),
      ])
      const unknown = error('unknownTopicOrPartition')
      expect(codes).toEqual([
        [
          'orders',
          [
            [0, error('electionNotNeeded')],
            [9, unknown],
          ],
        ],
        ['nothing', [[0, unknown]]],
      ])
    }
    const all = await client.request(apiKeys.electLeaders, 1, { topicPartitions: null })
    expect(all).toMatchObject({ errorCode: 0, replicaElectionResults: [] })
    const odd = await client.request(apiKeys.electLeaders, 2, { electionType: 7, topicPartitions: null })
    expect(odd.errorCode).toBe(error('invalidRequest'))
  })

  test('its partitions can be reassigned to itself, and nowhere else', async () => {
    const client = await world()
    const { responses } = await client.request(apiKeys.alterPartitionReassignments, 0, {
      topics: [
        {
          name: 'orders',
          partitions: [
            { partitionIndex: 0, replicas: [1] },
            { partitionIndex: 1, replicas: [2] },
            { partitionIndex: 2, replicas: null },
            { partitionIndex: 9, replicas: [1] },
          ],
        },
      ],
    })
    expect(responses[0]!.partitions.map(({ errorCode }) => errorCode)).toEqual([
      0,
      error('invalidReplicaAssignment'),
      error('noReassignmentInProgress'),
      error('unknownTopicOrPartition'),
    ])
    const list = await client.request(apiKeys.listPartitionReassignments, 0, { topics: null })
    expect(list).toMatchObject({ errorCode: 0, topics: [] })
  })
})

const context = {} as RequestContext
const requests = {
  electionType: 0,
  timeoutMs: 1_000,
  topicPartitions: [
    { topic: 'a', partitions: [0, 1] },
    { topic: 'b', partitions: [0] },
  ],
}

/** Handlers over a cluster that answers what the test says. */
function cluster(outcomes: Readonly<Record<string, EngineError | null>>) {
  const asked: Reassignment[] = []
  const outcomeOf = ({ topic, partition }: TopicPartition) => outcomes[`${topic}-${partition}`] ?? null
  const controller = {
    image: {
      topics: new Map([
        [
          'a',
          {
            partitions: [
              { replicas: [1, 2, 3], addingReplicas: [3] },
              { replicas: [1, 2], addingReplicas: [] },
            ],
          },
        ],
      ]),
    },
    alterPartitionReassignments: async (changes: readonly Reassignment[]) => {
      asked.push(...changes)
      return changes.map(outcomeOf)
    },
    listPartitionReassignments: (partitions: readonly TopicPartition[] | null) => {
      const all = [
        { topic: 'a', partition: 0, replicas: [1, 2, 3], adding: [3], removing: [1] },
        { topic: 'b', partition: 2, replicas: [1], adding: [1], removing: [] },
        { topic: 'a', partition: 1, replicas: [2], adding: [2], removing: [] },
      ]
      if (partitions === null) return all
      return all.filter((each) =>
        partitions.some(({ topic, partition }) => topic === each.topic && partition === each.partition),
      )
    },
    electLeaders: async (_election: Election, partitions: readonly TopicPartition[] | null) =>
      (partitions ?? [{ topic: 'a', partition: 0 }]).map((each) => ({ ...each, outcome: outcomeOf(each) })),
  }
  return { services: { controller } as unknown as Services, asked }
}

describe('a broker of a cluster', () => {
  test('each partition gets the outcome of its own reassignment, and one that is named twice is done once', async () => {
    const { services, asked } = cluster({ 'a-1': new EngineError('invalidReplicaAssignment', 'no broker 9') })
    const answer = await handleAlterPartitionReassignments(services, context, {
      timeoutMs: 1_000,
      allowReplicationFactorChange: true,
      topics: [
        {
          name: 'a',
          partitions: [
            { partitionIndex: 0, replicas: [2, 3] },
            { partitionIndex: 0, replicas: [1] },
            { partitionIndex: 1, replicas: [9] },
          ],
        },
        { name: 'b', partitions: [{ partitionIndex: 0, replicas: null }] },
      ],
    })
    expect(asked.map(({ topic, partition, replicas }) => [topic, partition, replicas])).toEqual([
      ['a', 0, [2, 3]],
      ['a', 1, [9]],
      ['b', 0, null],
    ])
    const codes = answer!.responses!.map(({ partitions }) => partitions!.map(({ errorCode }) => errorCode))
    expect(codes).toEqual([[0, error('invalidRequest'), error('invalidReplicaAssignment')], [0]])
  })

  test('the number of replicas stays as it is when that is asked for; what is on its way in does not count', async () => {
    const { services, asked } = cluster({})
    const answer = await handleAlterPartitionReassignments(services, context, {
      timeoutMs: 1_000,
      allowReplicationFactorChange: false,
      topics: [
        {
          name: 'a',
          partitions: [
            { partitionIndex: 0, replicas: [2, 3] },
            { partitionIndex: 1, replicas: [1, 2, 3] },
          ],
        },
      ],
    })
    const [topic] = answer!.responses!
    expect(topic!.partitions!.map(({ errorCode }) => errorCode)).toEqual([
      0,
      error('invalidReplicationFactor'),
    ])
    expect(asked).toHaveLength(1)
  })

  test('what is under way is listed topic by topic, all of it or what is asked for', async () => {
    const { services } = cluster({})
    const list = async (topics: readonly { name: string; partitionIndexes: readonly number[] }[] | null) => {
      const answer = await handleListPartitionReassignments(services, context, { timeoutMs: 1_000, topics })
      return answer!.topics!.map(({ name, partitions }) => [
        name,
        partitions!.map(({ partitionIndex }) => partitionIndex),
      ])
    }
    expect(await list(null)).toEqual([
      ['a', [0, 1]],
      ['b', [2]],
    ])
    expect(await list([{ name: 'a', partitionIndexes: [1, 1, 5] }])).toEqual([['a', [1]]])
  })

  test('elections: every outcome of what was asked for, only the changes of all', async () => {
    const notNeeded = new EngineError('electionNotNeeded', 'it leads')
    const { services } = cluster({
      'a-0': notNeeded,
      'b-0': new EngineError('preferredLeaderNotAvailable', ''),
    })
    const some = await handleElectLeaders(services, context, requests)
    const codes = some!.replicaElectionResults!.map(({ partitionResult }) =>
      partitionResult!.map(({ errorCode }) => errorCode),
    )
    expect(codes).toEqual([[error('electionNotNeeded'), 0], [error('preferredLeaderNotAvailable')]])
    const all = await handleElectLeaders(services, context, { ...requests, topicPartitions: null })
    expect(all!.replicaElectionResults).toEqual([])
  })
})
