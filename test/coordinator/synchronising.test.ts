import { describe, expect, test } from 'vitest'
import { GroupWorld, textOf } from './support/groupWorld.ts'

describe('synchronising', () => {
  test('followers wait for the leader, and get their share only once it is durable', () => {
    const world = new GroupWorld()
    const first = world.join().answers[0]!.memberId
    const second = world.join()
    world.join({ memberId: first })
    world.autoFlush = false
    const follower = world.sync(second.answers[0]!.memberId, 2)
    const leader = world.sync(first, 2, { [first]: 'one', [second.answers[0]!.memberId]: 'two' })
    expect([follower.answers, leader.answers]).toEqual([[], []])
    world.flush()
    expect(textOf(follower.answers[0]!.assignment)).toBe('two')
    expect(leader.answers[0]).toMatchObject({ errorCode: 0, protocolType: 'consumer', protocolName: 'range' })
    expect(textOf(leader.answers[0]!.assignment)).toBe('one')
  })

  test('the wrong generation, member, protocol or moment is told apart (22, 25, 23, 27)', () => {
    const world = new GroupWorld()
    expect(world.sync('m', 1).answers[0]!.errorCode).toBe(25)
    const [first, second] = world.stablePair()
    expect(world.sync(first, 1).answers[0]!.errorCode).toBe(22)
    expect(world.sync('stranger', 2).answers[0]!.errorCode).toBe(25)
    expect(world.sync(first, 2, {}, null, { type: 'connect' }).answers[0]!.errorCode).toBe(23)
    expect(world.sync(first, 2, {}, null, { name: 'other' }).answers[0]!.errorCode).toBe(23)
    expect(textOf(world.sync(second, 2).answers[0]!.assignment)).toBe('two')
    world.join({ memberId: first })
    expect(world.sync(second, 2).answers[0]!.errorCode).toBe(27)
  })

  test('a rebalance sends waiting followers back to join (27)', () => {
    const world = new GroupWorld()
    const first = world.join().answers[0]!.memberId
    const second = world.join()
    world.join({ memberId: first })
    const waiting = world.sync(second.answers[0]!.memberId, 2)
    world.join()
    expect(waiting.answers[0]!.errorCode).toBe(27)
  })

  test('members that never ask for their assignment are out after the rebalance timeout', () => {
    const world = new GroupWorld()
    const first = world.join({ rebalanceTimeoutMs: 6_000 }).answers[0]!.memberId
    const second = world.join({ rebalanceTimeoutMs: 6_000 })
    world.join({ memberId: first, rebalanceTimeoutMs: 6_000 })
    const secondId = second.answers[0]!.memberId
    world.sync(first, 2, { [first]: 'one', [secondId]: 'two' })
    world.advance(6_000)
    expect(world.heartbeat(secondId, 2)).toBe(25)
    expect(world.heartbeat(first, 2)).toBe(27)
  })

  test('when the assignment cannot be stored everyone is told, and the group rebalances', () => {
    const world = new GroupWorld()
    const first = world.join().answers[0]!.memberId
    world.autoFlush = false
    const leader = world.sync(first, 1, { [first]: 'one' })
    world.fail('diskFull')
    expect(leader.answers[0]!.errorCode).toBe(15)
    expect(world.data.state).toBe('preparingRebalance')
  })

  test('an assignment that becomes durable after the next rebalance began changes nothing', () => {
    const world = new GroupWorld()
    const first = world.join().answers[0]!.memberId
    world.autoFlush = false
    const leader = world.sync(first, 1, { [first]: 'one' })
    world.join()
    expect(leader.answers[0]!.errorCode).toBe(27)
    world.flush()
    expect(world.data.state).toBe('preparingRebalance')
    expect(leader.answers).toHaveLength(1)
  })
})

describe('writes that are overtaken', () => {
  test('an assignment that becomes durable in the next generation is not told to it', () => {
    const world = new GroupWorld()
    const first = world.join().answers[0]!.memberId
    world.autoFlush = false
    world.sync(first, 1, { [first]: 'old' })
    const second = world.join()
    world.join({ memberId: first })
    const waiting = world.sync(second.answers[0]!.memberId, 2)
    world.flush()
    expect([world.data.state, waiting.answers]).toEqual(['completingRebalance', []])
    const leader = world.sync(first, 2, { [first]: 'new' })
    world.flush()
    expect(textOf(leader.answers[0]!.assignment)).toBe('new')
    expect(waiting.answers).toHaveLength(1)
  })

  test('of two assignments of one generation the first counts, in memory and in the log', () => {
    const world = new GroupWorld()
    const first = world.join().answers[0]!.memberId
    world.autoFlush = false
    const early = world.sync(first, 1, { [first]: 'one' })
    const late = world.sync(first, 1, { [first]: 'two' })
    world.flush()
    expect(early.answers[0]!.errorCode).toBe(27)
    expect(textOf(late.answers[0]!.assignment)).toBe('one')
    world.restart()
    expect(textOf(world.sync(first, 1).answers[0]!.assignment)).toBe('one')
  })
})
