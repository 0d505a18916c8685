import { describe, expect, test } from 'vitest'
import { GroupWorld } from './support/groupWorld.ts'

describe('deleting and expiring', () => {
  test('a group with members is not deleted (68); an empty one goes with its offsets, those on their way included', () => {
    const world = new GroupWorld()
    const [first, second] = world.stablePair()
    expect(world.deleteGroup().answers[0]!.errorCode).toBe(68)
    world.leave(first, second)
    world.commit('', -1, 3)
    world.autoFlush = false
    world.commit('', -1, 4, { partition: 1 })
    const deleted = world.deleteGroup()
    expect(world.data.state).toBe('dead')
    expect(world.join().answers[0]!.errorCode).toBe(15)
    expect(world.heartbeat('m', 1)).toBe(15)
    expect(world.deleteGroup().answers[0]!.errorCode).toBe(69)
    world.flush()
    expect(deleted.answers[0]!.errorCode).toBe(0)
    expect(world.removed).toBe(true)
    world.restart()
    expect(world.group.isTraceless).toBe(true)
  })

  test('a deletion that cannot be stored leaves the group as it was', () => {
    const world = new GroupWorld()
    world.commit('', -1, 3)
    world.autoFlush = false
    const deleted = world.deleteGroup()
    world.fail()
    expect(deleted.answers[0]!.errorCode).toBe(16)
    expect([world.data.state, world.offset()]).toEqual(['empty', 3])
  })

  test('offsets of a topic that a member subscribes to are not deleted (86), others are', () => {
    const world = new GroupWorld()
    const [first] = world.stablePair()
    world.commit(first, 2, 5)
    world.commit(first, 2, 6, { topic: 'old' })
    expect(world.deleteOffsets('t').answers[0]!.topics[0]!.partitions[0]!.errorCode).toBe(86)
    expect(world.deleteOffsets('old').answers[0]!.topics[0]!.partitions[0]!.errorCode).toBe(0)
    expect([world.offset(), world.offset('old')]).toEqual([5, null])
  })

  test('offsets of a group with members of another kind are not deleted (68)', () => {
    const world = new GroupWorld()
    world.join({ protocolType: 'connect' })
    expect(world.deleteOffsets('t').answers[0]!.errorCode).toBe(68)
  })

  test('offsets of deleted topics go, also those on their way', () => {
    const world = new GroupWorld()
    const [first] = world.stablePair()
    world.autoFlush = false
    world.commit(first, 2, 5)
    world.step({ type: 'topicsDeleted', topics: new Set(['t']) })
    world.flush()
    expect(world.offset()).toBe(null)
    world.restart()
    expect(world.offset()).toBe(null)
  })

  test('an empty group loses its offsets a retention after its members left, and is then deleted (KIP-211)', () => {
    const world = new GroupWorld({ offsetsRetentionMs: 1_000 })
    const first = world.join().answers[0]!.memberId
    world.sync(first, 1, { [first]: 'one' })
    world.commit(first, 1, 5)
    world.advance(900)
    world.leave(first)
    world.advance(999)
    world.step({ type: 'expireOffsets' })
    expect(world.offset()).toBe(5)
    world.advance(1)
    world.step({ type: 'expireOffsets' })
    expect(world.removed).toBe(true)
  })

  test('a group that only commits loses each offset a retention after its commit', () => {
    const world = new GroupWorld({ offsetsRetentionMs: 1_000 })
    world.commit('', -1, 5)
    world.advance(600)
    world.commit('', -1, 6, { partition: 1 })
    world.commit('', -1, 7, { partition: 2, retentionTimeMs: 5_000 })
    world.advance(600)
    world.step({ type: 'expireOffsets' })
    expect([world.offset('t', 0), world.offset('t', 1), world.offset('t', 2)]).toEqual([null, 6, 7])
  })

  test('a group with members keeps offsets of subscribed topics for ever and loses the others', () => {
    const world = new GroupWorld({ offsetsRetentionMs: 1_000 })
    const [first] = world.stablePair()
    world.commit(first, 2, 5)
    world.commit(first, 2, 6, { topic: 'old' })
    world.advance(1_000)
    world.step({ type: 'expireOffsets' })
    expect([world.offset(), world.offset('old')]).toEqual([5, null])
  })
})
