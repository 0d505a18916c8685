import { describe, expect, test } from 'vitest'
import { commitCode, GroupWorld, textOf } from './support/groupWorld.ts'

describe('sessions', () => {
  test('heartbeats keep a member; silence for a session timeout takes it out and begins a rebalance', () => {
    const world = new GroupWorld()
    const [first, second] = world.stablePair()
    for (let beat = 0; beat < 5; beat++) {
      world.advance(9_000)
      expect(world.heartbeat(first, 2)).toBe(beat < 1 ? 0 : 27)
    }
    expect(world.heartbeat(second, 2)).toBe(25)
  })

  test('heartbeats of the wrong generation or of strangers do not count (22, 25)', () => {
    const world = new GroupWorld()
    const [first] = world.stablePair()
    expect(world.heartbeat(first, 1)).toBe(22)
    expect(world.heartbeat(first, 3)).toBe(22)
    expect(world.heartbeat('stranger', 2)).toBe(25)
    world.advance(5_000)
    world.heartbeat(first, 1)
    world.advance(5_000)
    expect(world.heartbeat(first, 2)).toBe(25)
  })

  test('a member whose request waits with the group is not timed out meanwhile', () => {
    const world = new GroupWorld()
    const [first, second] = world.stablePair()
    const waiting = world.join({ memberId: first })
    for (let waited = 0; waited < 30_000; waited += 5_000) {
      expect(world.heartbeat(second, 2)).toBe(27)
      world.advance(5_000)
    }
    world.join({ memberId: second })
    expect(waiting.answers[0]).toMatchObject({ errorCode: 0, generationId: 3 })
    expect(world.data.members.size).toBe(2)
  })
})

describe('leaving', () => {
  test('the last member leaves an empty group, told once that is durable', () => {
    const world = new GroupWorld()
    const first = world.join().answers[0]!.memberId
    world.sync(first, 1, { [first]: 'one' })
    world.autoFlush = false
    const left = world.leave(first)
    expect(left.answers).toHaveLength(0)
    world.flush()
    expect(left.answers[0]).toMatchObject({ errorCode: 0, members: [{ memberId: first, errorCode: 0 }] })
    expect(world.data).toMatchObject({ state: 'empty', generationId: 2, protocolName: null, leaderId: null })
  })

  test('each member of a batch gets its own result, and the rest rebalance (KIP-345)', () => {
    const world = new GroupWorld()
    const [first, second] = world.stablePair()
    const left = world.leave('stranger', second)
    expect(left.answers[0]!.members.map((member) => member.errorCode)).toEqual([25, 0])
    expect(world.heartbeat(first, 2)).toBe(27)
  })

  test('an id that was only given out may leave, without a rebalance', () => {
    const world = new GroupWorld()
    const [first] = world.stablePair()
    const id = world.join({ version: 4 }).answers[0]!.memberId
    expect(world.leave(id).answers[0]!.members[0]!.errorCode).toBe(0)
    expect(world.heartbeat(first, 2)).toBe(0)
  })

  test('a member that leaves while its SyncGroup waits is answered', () => {
    const world = new GroupWorld()
    const first = world.join().answers[0]!.memberId
    const second = world.join()
    world.join({ memberId: first })
    const secondId = second.answers[0]!.memberId
    const waiting = world.sync(secondId, 2)
    world.leave(secondId)
    expect(waiting.answers[0]!.errorCode).toBe(25)
  })
})

describe('restarting', () => {
  test('members go on heartbeating with their ids and generation, without a rebalance', () => {
    const world = new GroupWorld()
    const [first, second] = world.stablePair()
    world.commit(first, 2, 5)
    world.advance(9_000)
    world.restart()
    world.advance(9_000)
    expect(world.heartbeat(first, 2)).toBe(0)
    expect(world.heartbeat(second, 2)).toBe(0)
    expect(textOf(world.sync(second, 2).answers[0]!.assignment)).toBe('two')
    expect(world.offset()).toBe(5)
    expect(commitCode(world.commit(second, 2, 6))).toBe(0)
  })

  test('members that do not come back are out after a whole session', () => {
    const world = new GroupWorld()
    world.stablePair()
    world.restart()
    world.advance(9_999)
    expect(world.data.members.size).toBe(2)
    world.advance(1)
    expect(world.data).toMatchObject({ state: 'empty', generationId: 3 })
  })

  test('a group larger than it may be now rebalances', () => {
    const world = new GroupWorld()
    const [first] = world.stablePair()
    Object.assign(world.config, { groupMaxSize: 1 })
    world.restart()
    expect(world.heartbeat(first, 2)).toBe(27)
  })

  test('whoever waits is sent away when the coordinator stops (16)', () => {
    const world = new GroupWorld()
    const [first] = world.stablePair()
    const joining = world.join({ memberId: first })
    world.step({ type: 'closed' })
    expect(joining.answers[0]!.errorCode).toBe(16)
  })
})
