import { describe, expect, test } from 'vitest'
import { InvariantError } from '../../src/model/assert.ts'
import type { Effect } from '../../src/raft/effects.ts'
import { initialQuorumState } from '../../src/raft/quorumState.ts'
import type { RaftConfig } from '../../src/raft/raftConfig.ts'
import { Lone, replica } from './support/lone.ts'

/** An observer that knows three records of epoch 2 to be committed, and whose voters have a leader in epoch 4. */
function observer(config: Partial<RaftConfig>, snapshotEnd: number | null = null): Lone {
  const lone = new Lone({
    voters: [2, 3],
    config: { kind: 'partition', kraftVersion: 1, ...config },
    start: {
      quorum: { ...initialQuorumState, leaderEpoch: 2, leaderId: 2 },
      log: {
        logStartOffset: 0,
        logEndOffset: 3,
        epochStarts: [{ epoch: 2, startOffset: 0, votersVersion: 0 }],
        snapshotId: snapshotEnd === null ? null : { endOffset: snapshotEnd, epoch: 2 },
      },
      highWatermark: 3,
    },
  })
  return lone.follow(2, 4)
}

/** The leader's log has but one of the records. */
const part = (lone: Lone): readonly Effect[] =>
  lone.answer(
    'fetch',
    2,
    lone.fetchResponse({ divergingEpoch: { epoch: 2, endOffset: 1, votersVersion: 0 }, logEndOffset: 1 }),
  )

describe('a replica with committed records that all voters have forgotten', () => {
  test.each([{ relaxed: true }, { relaxed: false, isRelaxed: true }])(
    'says what is lost and follows, under a relaxed policy: %o',
    (config) => {
      const lone = observer(config)
      const effects = part(lone)
      expect(effects.map(({ type }) => type).slice(0, 4)).toEqual([
        'alarm',
        'persist',
        'truncate',
        'highWatermark',
      ])
      expect(effects[0]).toMatchObject({ code: 'recordsLost', id: 1, offset: 1 })
      expect(effects[2]).toMatchObject({ to: { epoch: 2, endOffset: 1 } })
      expect(effects[3]).toMatchObject({ offset: 1 })
      expect(lone.core.highWatermark).toBe(1)

      const epochStarts = [{ epoch: 4, startOffset: 1, votersVersion: 0 }]
      const batches = lone.batches(1, 2, 4)
      lone.answer('fetch', 2, lone.fetchResponse({ epochStarts, batches, highWatermark: 2, logEndOffset: 3 }))
      expect(lone.core.logEnd).toMatchObject({ epoch: 4, endOffset: 3 })
      expect(lone.core.highWatermark).toBe(2)
    },
  )

  test('cuts nothing under a durable policy, where that cannot be', () => {
    const lone = observer({ relaxed: false })
    expect(() => part(lone)).toThrow(InvariantError)
    expect(lone.core.highWatermark).toBe(3)
  })

  test('cuts nothing when it has voted for the leader: that one had no less then', () => {
    const lone = observer({ relaxed: true })
    lone.step(lone.voteRequest(replica(2), { replicaEpoch: 5, lastOffset: 3, lastOffsetEpoch: 2 }))
    lone.follow(2, 5)
    expect(() => part(lone)).toThrow(InvariantError)
  })

  test('cuts nothing that a snapshot has', () => {
    expect(() => part(observer({ relaxed: true }, 2))).toThrow(InvariantError)
    expect(part(observer({ relaxed: true }, 1))).toContainEqual(
      expect.objectContaining({ code: 'recordsLost' }),
    )
  })
})
