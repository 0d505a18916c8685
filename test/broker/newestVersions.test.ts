import { describe, expect, test } from 'vitest'
import { KafkaError } from '../../src/model/kafkaErrors.ts'
import { zeroUuid } from '../../src/model/uuid.ts'
import { apiKeys } from '../../src/protocol/apiKeys.ts'
import { batchOf, createTopic, produce } from './support/produce.ts'
import { RawClient, runBroker } from './support/runningBroker.ts'

const error = (name: keyof typeof KafkaError): number => KafkaError[name].kafka
const strangeId = 'MkU3OEVBNTcwNTJENDM2Qg'

async function world(topics: readonly string[] = []) {
  const { broker } = await runBroker()
  const client = await RawClient.connect(broker)
  const ids = new Map<string, string>()
  for (const name of topics) {
    await createTopic(client, name, 2)
    const answer = await client.request(apiKeys.metadata, 13, { topics: [{ name }] })
    ids.set(name, answer.topics[0]!.topicId)
  }
  return { broker, client, idOf: (name: string) => ids.get(name)! as typeof zeroUuid }
}

/** A world with a coordinator. */
async function withGroups(topics: readonly string[]) {
  const found = await world(topics)
  await found.client.request(apiKeys.findCoordinator, 6, { coordinatorKeys: ['g'] })
  return found
}

describe('offsets by the ids of topics (KIP-848)', () => {
  const commitOf = (committedOffset: number, partitionIndex = 0) => ({
    partitionIndex,
    committedOffset,
    committedMetadata: 'm',
  })

  test('are committed and fetched in the order of what was asked, those of unknown ids refused by name', async () => {
    const { client, idOf } = await withGroups(['a', 'b'])
    const unknown = strangeId as typeof zeroUuid
    const committed = await client.request(apiKeys.offsetCommit, 10, {
      groupId: 'g',
      topics: [
        { topicId: unknown, partitions: [commitOf(1)] },
        { topicId: idOf('b'), partitions: [commitOf(2), commitOf(3, 2), commitOf(4, 1)] },
        { topicId: zeroUuid, partitions: [commitOf(5)] },
        { topicId: idOf('a'), partitions: [commitOf(6)] },
      ],
    })
    const codes = committed.topics.map(({ topicId, partitions }) => [
      topicId,
      partitions.map(({ partitionIndex, errorCode }) => [partitionIndex, errorCode]),
    ])
    expect(codes).toEqual([
      [unknown, [[0, error('unknownTopicId')]]],
      [
        idOf('b'),
        [
          [0, 0],
          [2, error('unknownTopicOrPartition')],
          [1, 0],
        ],
      ],
      [zeroUuid, [[0, error('unknownTopicId')]]],
      [idOf('a'), [[0, 0]]],
    ])
    const { groups } = await client.request(apiKeys.offsetFetch, 10, {
      groups: [
        {
          groupId: 'g',
          topics: [
            { topicId: idOf('a'), partitionIndexes: [1, 0] },
            { topicId: unknown, partitionIndexes: [0] },
            { topicId: idOf('b'), partitionIndexes: [1] },
          ],
        },
      ],
    })
    const found = groups[0]!.topics.map(({ topicId, partitions }) => [
      topicId,
      partitions.map((each) => [each.partitionIndex, each.committedOffset, each.errorCode]),
    ])
    expect([groups[0]!.errorCode, found]).toEqual([
      0,
      [
        [
          idOf('a'),
          [
            [1, -1, 0],
            [0, 6, 0],
          ],
        ],
        [unknown, [[0, -1, error('unknownTopicId')]]],
        [idOf('b'), [[1, 4, 0]]],
      ],
    ])
  })

  test('are told with ids where all are asked for, and are the same by name', async () => {
    const { client, idOf } = await withGroups(['a', 'b'])
    const topics = [
      { name: 'a', partitions: [commitOf(7)] },
      { name: 'b', partitions: [commitOf(8, 1)] },
    ]
    await client.request(apiKeys.offsetCommit, 9, { groupId: 'g', topics })
    const ask = { groups: [{ groupId: 'g', topics: null }] }
    const byId = await client.request(apiKeys.offsetFetch, 10, ask)
    const flat = byId.groups[0]!.topics.map(({ topicId, partitions }) => [
      topicId,
      partitions[0]!.committedOffset,
    ])
    expect(new Map(flat as [string, number][])).toEqual(
      new Map([
        [idOf('a'), 7],
        [idOf('b'), 8],
      ]),
    )
    const byName = await client.request(apiKeys.offsetFetch, 9, ask)
    expect(byName.groups[0]!.topics.map(({ name }) => name).sort()).toEqual(['a', 'b'])
  })

  test('of a topic that was deleted are nobody else’s: a new one of its name has none', async () => {
    const { client, idOf } = await withGroups(['a'])
    const topics = [{ topicId: idOf('a'), partitions: [commitOf(7)] }]
    await client.request(apiKeys.offsetCommit, 10, { groupId: 'g', topics })
    await client.request(apiKeys.deleteTopics, 6, { topics: [{ name: 'a' }] })
    await createTopic(client, 'a', 2)
    const later = await client.request(apiKeys.offsetCommit, 10, { groupId: 'g', topics })
    expect(later.topics[0]!.partitions[0]!.errorCode).toBe(error('unknownTopicId'))
    const all = await client.request(apiKeys.offsetFetch, 10, { groups: [{ groupId: 'g', topics: null }] })
    expect(all.groups[0]!.topics).toEqual([])
  })
})

test('ListOffsets knows each special timestamp from its version on; nothing is tiered', async () => {
  const { client } = await world(['a'])
  await produce(client, 'a', batchOf(['x', 'y', 'z']))
  await client.request(apiKeys.deleteRecords, 2, {
    topics: [{ name: 'a', partitions: [{ partitionIndex: 0, offset: 1 }] }],
    timeoutMs: 10_000,
  })
  const ask = async (version: number, timestamp: number): Promise<unknown> => {
    const topics = [{ name: 'a', partitions: [{ partitionIndex: 0, timestamp }] }]
    const answer = await client.request(apiKeys.listOffsets, version, { topics, timeoutMs: 1000 })
    const { errorCode, offset, timestamp: found, leaderEpoch } = answer.topics[0]!.partitions[0]!
    return errorCode === 0 ? [offset, found, leaderEpoch] : errorCode
  }
  const refused = error('unsupportedVersion')
  expect([await ask(7, -4), await ask(8, -4)]).toEqual([refused, [1, -1, 0]])
  expect([await ask(8, -5), await ask(9, -5)]).toEqual([refused, [-1, -1, -1]])
  expect([await ask(10, -6), await ask(11, -6)]).toEqual([refused, [-1, -1, -1]])
  expect([await ask(11, -2), await ask(11, -1), await ask(11, -7)]).toEqual([[1, -1, 0], [3, -1, 0], refused])
  expect([await ask(6, -3), await ask(11, -3)]).toEqual([refused, [1, expect.any(Number), 0]])
})

test('FindCoordinator has none for share groups, in any version, and goes on for groups', async () => {
  const { client, broker } = await world()
  for (const version of [4, 5, 6]) {
    const share = await client.request(apiKeys.findCoordinator, version, {
      keyType: 2,
      coordinatorKeys: [`g:${strangeId}:0`, 'g'],
    })
    expect(share.coordinators.map(({ errorCode, nodeId }) => [errorCode, nodeId])).toEqual([
      [error('invalidRequest'), -1],
      [error('invalidRequest'), -1],
    ])
    const { coordinators } = await client.request(apiKeys.findCoordinator, version, {
      coordinatorKeys: ['g', 'h'],
    })
    expect(coordinators.map(({ key, port, errorCode }) => [key, port, errorCode])).toEqual([
      ['g', broker.address.port, 0],
      ['h', broker.address.port, 0],
    ])
  }
})

test('ApiVersions tells a client that expects another cluster or broker to begin with its bootstrap servers (KIP-1242)', async () => {
  const { client } = await world()
  const { clusterId, brokers } = await client.request(apiKeys.metadata, 13, { topics: [] })
  const { nodeId } = brokers[0]!
  const software = { clientSoftwareName: 'test', clientSoftwareVersion: '1' }
  const ask = async (expected: { clusterId?: string | null; nodeId?: number }, version = 5) => {
    const answer = await client.request(apiKeys.apiVersions, version, { ...software, ...expected })
    return [answer.errorCode, answer.apiKeys.length > 0]
  }
  expect(await ask({})).toEqual([0, true])
  expect(await ask({ clusterId, nodeId })).toEqual([0, true])
  // Whoever knows no cluster has found its servers just now.
  expect(await ask({ nodeId: nodeId + 1 })).toEqual([0, true])
  const misrouted = [error('rebootstrapRequired'), false]
  expect(await ask({ clusterId, nodeId: nodeId + 1 })).toEqual(misrouted)
  expect(await ask({ clusterId: strangeId, nodeId })).toEqual(misrouted)
  expect(await ask({ clusterId: strangeId, nodeId }, 4)).toEqual([0, true])
})

test('a static leader that starts again in JoinGroup 9 is told that there is no need to assign', async () => {
  const { client } = await withGroups(['a'])
  const join = {
    groupId: 'g',
    sessionTimeoutMs: 60_000,
    rebalanceTimeoutMs: 60_000,
    memberId: '',
    groupInstanceId: 'one',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: new Uint8Array([1]) }],
    reason: 'a test begins',
  }
  const first = await client.request(apiKeys.joinGroup, 9, join)
  expect(first).toMatchObject({ errorCode: 0, skipAssignment: false, leader: first.memberId })
  const assignments = [{ memberId: first.memberId, assignment: new Uint8Array([2]) }]
  const { generationId } = first
  const sync = { groupId: 'g', generationId, memberId: first.memberId, groupInstanceId: 'one', assignments }
  expect(
    (await client.request(apiKeys.syncGroup, 5, { ...sync, protocolType: 'consumer', protocolName: 'range' }))
      .errorCode,
  ).toBe(0)
  const again = await client.request(apiKeys.joinGroup, 9, join)
  expect(again).toMatchObject({ errorCode: 0, skipAssignment: true, leader: again.memberId, generationId })
  expect(again.members).toHaveLength(1)
})

test('DescribeGroups 6 has an error for a group that is not there', async () => {
  const { client } = await withGroups([])
  const { groups } = await client.request(apiKeys.describeGroups, 6, { groups: ['g'] })
  expect(groups[0]).toMatchObject({
    errorCode: error('groupIdNotFound'),
    errorMessage: 'Group g not found.',
    groupState: 'Dead',
  })
  const before = await client.request(apiKeys.describeGroups, 5, { groups: ['g'] })
  expect(before.groups[0]).toMatchObject({ errorCode: 0, groupState: 'Dead' })
})

test('DeleteGroups 3 and DescribeLogDirs 5 say what the versions before say: nothing here is cordoned', async () => {
  const { client } = await withGroups(['a'])
  const { results } = await client.request(apiKeys.deleteGroups, 3, { groupsNames: ['g'] })
  expect(results).toMatchObject([{ groupId: 'g', errorCode: error('groupIdNotFound'), errorMessage: null }])
  const { results: directories } = await client.request(apiKeys.describeLogDirs, 5, { topics: null })
  expect(directories).toMatchObject([{ errorCode: 0, isCordoned: false }])
  expect(directories[0]!.topics.map(({ name }) => name)).toContain('a')
})

test('what is offered is what Kafka 4.4 offers at most', async () => {
  const { client } = await world()
  const answer = await client.request(apiKeys.apiVersions, 5, {
    clientSoftwareName: 'test',
    clientSoftwareVersion: '1',
  })
  const max = new Map(answer.apiKeys.map(({ apiKey, maxVersion }) => [apiKey, maxVersion]))
  const newest: [keyof typeof apiKeys, number][] = [
    ['produce', 13],
    ['fetch', 18],
    ['listOffsets', 11],
    ['metadata', 13],
    ['offsetCommit', 10],
    ['offsetFetch', 10],
    ['findCoordinator', 6],
    ['joinGroup', 9],
    ['describeGroups', 6],
    ['apiVersions', 5],
    ['deleteGroups', 3],
    ['describeLogDirs', 5],
  ]
  expect(newest.map(([name]) => [name, max.get(apiKeys[name].key)])).toEqual(newest)
})
