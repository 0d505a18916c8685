import { describe, expect, test } from 'vitest'
import { commitCode, GroupWorld, range, roundRobin, textOf } from './support/groupWorld.ts'

describe('static members (KIP-345)', () => {
  function stableStatic(world: GroupWorld): [string, string] {
    const first = world.join({ instance: 'a' }).answers[0]!.memberId
    const second = world.join({ instance: 'b' })
    world.join({ memberId: first, instance: 'a' })
    const secondId = second.answers[0]!.memberId
    world.sync(first, 2, { [first]: 'one', [secondId]: 'two' }, 'a')
    world.sync(secondId, 2, {}, 'b')
    return [first, secondId]
  }

  test('one that starts again takes its place without a rebalance, once its new id is durable', () => {
    const world = new GroupWorld()
    const [first, second] = stableStatic(world)
    world.autoFlush = false
    const again = world.join({ instance: 'b' })
    expect(again.answers).toHaveLength(0)
    world.flush()
    const { memberId } = again.answers[0]!
    expect(again.answers[0]).toMatchObject({ errorCode: 0, generationId: 2, leader: first })
    expect(memberId).not.toBe(second)
    expect(textOf(world.sync(memberId, 2, {}, 'b').answers[0]!.assignment)).toBe('two')
    expect(world.heartbeat(first, 2, 'a')).toBe(0)
  })

  test('the old member id is fenced (82) in every request', () => {
    const world = new GroupWorld()
    const [, second] = stableStatic(world)
    world.join({ instance: 'b' })
    expect(world.heartbeat(second, 2, 'b')).toBe(82)
    expect(world.sync(second, 2, {}, 'b').answers[0]!.errorCode).toBe(82)
    expect(world.join({ memberId: second, instance: 'b' }).answers[0]!.errorCode).toBe(82)
    expect(commitCode(world.commit(second, 2, 5, { instance: 'b' }))).toBe(82)
    expect(world.leave({ memberId: second, instance: 'b' }).answers[0]!.members[0]!.errorCode).toBe(82)
    expect(world.heartbeat(second, 2)).toBe(25)
  })

  test('a waiting JoinGroup of the old member id is fenced when the new one comes', () => {
    const world = new GroupWorld()
    const [first, second] = stableStatic(world)
    world.join({ memberId: first, instance: 'a' })
    const third = world.join()
    const old = world.join({ memberId: second, instance: 'b' })
    expect(third.answers[0]!.generationId).toBe(3)
    expect(old.answers).toHaveLength(1)
    world.join()
    const waiting = world.join({ memberId: second, instance: 'b' })
    world.join({ instance: 'b' })
    expect(waiting.answers[0]!.errorCode).toBe(82)
  })

  test('a leader that starts again keeps the assignment: told by skipAssignment from version 9, before by the old id', () => {
    const world = new GroupWorld()
    const [first] = stableStatic(world)
    const old = world.join({ instance: 'a', version: 5 }).answers[0]!
    expect(old).toMatchObject({ errorCode: 0, leader: first, skipAssignment: false, members: [] })
    const next = world.join({ instance: 'a', version: 9 }).answers[0]!
    expect(next).toMatchObject({ errorCode: 0, leader: next.memberId, skipAssignment: true })
    expect(next.members).toHaveLength(2)
    expect(world.data.state).toBe('stable')
  })

  test('one that starts again with a change of the selected protocol begins a rebalance', () => {
    const world = new GroupWorld()
    world.join({ instance: 'a', protocols: [range, roundRobin] })
    world.sync('m1', 1, { m1: 'one' }, 'a')
    const again = world.join({ instance: 'a', protocols: [roundRobin, range] })
    expect(again.answers[0]).toMatchObject({ errorCode: 0, generationId: 2, protocolName: 'roundrobin' })
  })

  test('one that starts again while the assignment is made has everybody join again', () => {
    const world = new GroupWorld()
    const first = world.join({ instance: 'a' }).answers[0]!.memberId
    const again = world.join({ instance: 'a' })
    expect(again.answers[0]).toMatchObject({ errorCode: 0, generationId: 2 })
    expect(again.answers[0]!.memberId).not.toBe(first)
  })

  test('when its new id cannot be stored the old one stays valid', () => {
    const world = new GroupWorld()
    const [, second] = stableStatic(world)
    world.autoFlush = false
    const again = world.join({ instance: 'b' })
    world.fail('diskFull')
    expect(again.answers[0]!.errorCode).toBe(15)
    expect(world.heartbeat(second, 2, 'b')).toBe(0)
  })

  test('one that does not rejoin keeps its place until its session ends', () => {
    const world = new GroupWorld()
    const [first, second] = stableStatic(world)
    world.join({ memberId: first, instance: 'a', rebalanceTimeoutMs: 5_000, sessionTimeoutMs: 30_000 })
    world.data.members.get(second)!.rebalanceTimeoutMs = 5_000
    world.advance(5_000)
    expect(world.data.members.has(second)).toBe(true)
  })

  test('an administrator removes one by its instance id alone; it does not leave by closing', () => {
    const world = new GroupWorld()
    const [first] = stableStatic(world)
    expect(world.leave({ instance: 'b' }, { instance: 'nobody' }).answers[0]!.members).toMatchObject([
      { memberId: '', groupInstanceId: 'b', errorCode: 0 },
      { memberId: '', groupInstanceId: 'nobody', errorCode: 25 },
    ])
    expect(world.heartbeat(first, 2, 'a')).toBe(27)
  })
})
