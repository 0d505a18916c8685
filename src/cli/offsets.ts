import { EngineError } from '../model/errors.ts'
import { type Client, checkAnswer } from './client.ts'

/** A partition and the broker that leads it. */
export interface LedPartition {
  readonly topic: string
  readonly partition: number
  /** Node id. */
  readonly leader: number
}

/** An offset that was asked for. */
export interface PartitionOffset {
  readonly topic: string
  readonly partition: number
  /** -1 when there is none: no record has that timestamp or a later one. */
  readonly offset: number
}

/** Special timestamps of ListOffsets. Source: KIP-79, KIP-734. */
const SpecialTimestamp = { latest: -1, earliest: -2 } as const

/**
 * For each partition its first offset (`earliest`), the offset after its last readable record (`latest`), or the
 * first offset whose record is as young as a timestamp in milliseconds. In the order of `partitions`. Asks again, and whoever
 * leads then, while a leader does not know or is being elected.
 */
export async function listOffsets(
  client: Client,
  partitions: readonly LedPartition[],
  at: keyof typeof SpecialTimestamp | number,
): Promise<readonly PartitionOffset[]> {
  let led = partitions
  let isAgain = false
  return client.retrying(async () => {
    if (isAgain) led = await ledAnew(client, partitions)
    isAgain = true
    try {
      return await listOnce(client, led, at)
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== 'networkException') throw error
      // Whoever leads does not answer; if others do, there will be another leader.
      await client.metadata([])
      throw new EngineError('leaderNotAvailable', error.message, { cause: error })
    }
  })
}

async function ledAnew(
  client: Client,
  partitions: readonly LedPartition[],
): Promise<readonly LedPartition[]> {
  const { topics } = await client.metadata([...new Set(partitions.map(({ topic }) => topic))])
  return partitions.map((partition) => {
    const found = topics.find(({ name }) => name === partition.topic)?.partitions[partition.partition]
    if (found !== undefined && found.leader >= 0) return { ...partition, leader: found.leader }
    const name = `${partition.topic}-${partition.partition}`
    throw new EngineError('leaderNotAvailable', `${name} has no leader`)
  })
}

async function listOnce(
  client: Client,
  partitions: readonly LedPartition[],
  at: keyof typeof SpecialTimestamp | number,
): Promise<readonly PartitionOffset[]> {
  const timestamp = typeof at === 'number' ? at : SpecialTimestamp[at]
  const found = new Map<string, number>()
  const byLeader = groupByLeader(partitions)
  await Promise.all(
    [...byLeader].map(async ([leader, led]) => {
      const topics = new Map<
        string,
        { partitionIndex: number; timestamp: number; currentLeaderEpoch: number }[]
      >()
      for (const { topic, partition } of led) {
        const wanted = topics.get(topic) ?? []
        wanted.push({ partitionIndex: partition, timestamp, currentLeaderEpoch: -1 })
        topics.set(topic, wanted)
      }
      const response = await client.send(
        'listOffsets',
        {
          replicaId: -1,
          isolationLevel: 0,
          topics: [...topics].map(([name, wanted]) => ({ name, partitions: wanted })),
        },
        { nodeId: leader },
      )
      for (const { name, partitions: answers } of response.topics) {
        for (const { partitionIndex, errorCode, offset } of answers) {
          checkAnswer(errorCode, `cannot read the offsets of ${name}-${partitionIndex}`)
          found.set(`${name}-${partitionIndex}`, offset)
        }
      }
    }),
  )
  return partitions.map(({ topic, partition }) => ({
    topic,
    partition,
    offset: found.get(`${topic}-${partition}`) ?? -1,
  }))
}

function groupByLeader(partitions: readonly LedPartition[]): Map<number, LedPartition[]> {
  const groups = new Map<number, LedPartition[]>()
  for (const partition of partitions) {
    const group = groups.get(partition.leader) ?? []
    group.push(partition)
    groups.set(partition.leader, group)
  }
  return groups
}
