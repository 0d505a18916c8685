import { describe, expect, test } from 'vitest'
import type { OffsetCommitResponse } from '../../src/coordinator/messages.ts'
import { commitCode, GroupWorld } from './support/groupWorld.ts'

describe('committing', () => {
  test('a member of the current generation commits; it shows and is answered once durable', () => {
    const world = new GroupWorld()
    const [first] = world.stablePair()
    world.autoFlush = false
    const sent = world.commit(first, 2, 42, { metadata: 'note' })
    expect([sent.answers.length, world.offset()]).toEqual([0, null])
    world.flush()
    expect([commitCode(sent), world.offset()]).toEqual([0, 42])
  })

  test('an old generation, a stranger, or no member at all cannot commit to a group with members (22, 25)', () => {
    const world = new GroupWorld()
    const [first] = world.stablePair()
    expect(commitCode(world.commit(first, 1, 1))).toBe(22)
    expect(commitCode(world.commit('stranger', 2, 1))).toBe(25)
    expect(commitCode(world.commit('', -1, 1))).toBe(25)
    expect(world.offset()).toBe(null)
  })

  test('while the assignment is being made commits are refused (27), before that they are taken', () => {
    const world = new GroupWorld()
    const [first, second] = world.stablePair()
    world.join({ memberId: first })
    expect(commitCode(world.commit(second, 2, 7))).toBe(0)
    world.join({ memberId: second })
    expect(commitCode(world.commit(second, 3, 8))).toBe(27)
    expect(world.offset()).toBe(7)
  })

  test('anyone may commit to an empty group without a generation', () => {
    const world = new GroupWorld()
    expect(commitCode(world.commit('', -1, 3))).toBe(0)
    expect(commitCode(world.commit('m', 4, 3))).toBe(25)
    expect(world.offset()).toBe(3)
  })

  test('metadata that is too long is refused (12) without touching the other partitions', () => {
    const world = new GroupWorld({ offsetMetadataMaxBytes: 3 })
    expect(commitCode(world.commit('', -1, 3, { metadata: 'four' }))).toBe(12)
    expect(world.log).toEqual([])
    expect(commitCode(world.commit('', -1, 3, { metadata: 'abc' }))).toBe(0)
  })

  test('of several offsets for one partition in a request the last counts, and is the only one stored', () => {
    const world = new GroupWorld()
    const entry = { partitionIndex: 0, committedLeaderEpoch: -1, committedMetadata: null }
    const partitions = [1, 2, 3].map((committedOffset) => ({ ...entry, committedOffset }))
    const request = {
      groupId: 'g',
      generationIdOrMemberEpoch: -1,
      memberId: '',
      groupInstanceId: null,
      retentionTimeMs: -1,
    }
    const topics = [{ name: 't', partitions }]
    world.send<OffsetCommitResponse>((token) => ({
      type: 'commitOffsets',
      token,
      request: { ...request, topics },
    }))
    expect([world.offset(), world.log.flat().length]).toEqual([3, 1])
  })

  test('a commit that the log refuses leaves the old offset', () => {
    const world = new GroupWorld()
    world.commit('', -1, 3)
    world.autoFlush = false
    const sent = world.commit('', -1, 4)
    world.fail('messageTooLarge')
    expect([commitCode(sent), world.offset()]).toEqual([28, 3])
  })
})
