import { describe, expect, test } from 'vitest'
import { type BrokerParts, BrokerStats } from '../../src/broker/brokerStats.ts'
import { EngineError } from '../../src/model/errors.ts'

/** A broker of a cluster as readiness sees it, all well but for `changes`. */
function stats(changes: {
  readonly fenced?: boolean
  readonly leaderId?: number
  readonly behind?: number
  readonly failed?: Error
  readonly missing?: 'notLeaderOrFollower' | 'kafkaStorageError'
  readonly isBroker?: boolean
}): { readonly stats: BrokerStats; open(): void } {
  let missing = changes.missing ?? null
  const topic = { name: 't', partitions: [{ partition: 0, replicas: [1] }] }
  const services = {
    node: { nodeId: 1 },
    config: { cluster: { isBroker: changes.isBroker ?? true } },
    cluster: {
      base: {
        host: { stats: {}, repairs: {}, groups: new Map() },
        beginning: null,
        metadata: { leaderId: changes.leaderId ?? 2, leaderEpoch: 1, highWatermark: 5000 },
      },
    },
    controller: {
      image: {
        brokers: new Map(changes.isBroker === false ? [] : [[1, { fenced: changes.fenced ?? false }]]),
        nextOffset: 5000 - (changes.behind ?? 0),
        topics: new Map([['t', topic]]),
      },
    },
    directory: { journalQueue: { failed: changes.failed ?? null } },
    partitions: {
      find: () => (missing === null ? {} : null),
      require: () => {
        throw new EngineError(missing!, 'not here')
      },
    },
  }
  return {
    stats: new BrokerStats({ services } as unknown as BrokerParts),
    open: () => {
      missing = null
    },
  }
}

describe('a broker is ready', () => {
  test('when nothing stands in the way', () => {
    expect(stats({}).stats.notReady()).toEqual([])
  })

  test.each([
    [{ fenced: true }, 'the controllers do not hear from this broker: it is fenced'],
    [{ leaderId: -1 }, 'nobody leads the metadata'],
    [{ behind: 1001 }, 'the metadata is 1001 records behind'],
    [{ missing: 'notLeaderOrFollower' as const }, '1 partitions are not open yet'],
    [{ failed: new Error('EIO') }, 'nothing can be stored: EIO'],
  ])('but not with %j', (changes, reason) => {
    expect(stats(changes).stats.notReady()).toEqual([reason])
  })

  test('with a few records of metadata to come, with a log that cannot be opened, and as a controller only', () => {
    expect(stats({ behind: 1000 }).stats.notReady()).toEqual([])
    expect(stats({ missing: 'kafkaStorageError' }).stats.notReady()).toEqual([])
    expect(stats({ isBroker: false }).stats.notReady()).toEqual([])
  })

  test('again once its partitions are open, and stays so while later ones are made', () => {
    const { stats: found, open } = stats({ missing: 'notLeaderOrFollower' })
    expect(found.notReady()).toHaveLength(1)
    open()
    expect(found.notReady()).toEqual([])
  })
})
