import { describe, expect, test } from 'vitest'
import { GroupWorld, range, roundRobin, subscription } from './support/groupWorld.ts'

describe('joining', () => {
  test('a lone member leads generation 1 and gets the members, itself (JoinGroup)', () => {
    const world = new GroupWorld()
    const [answer] = world.join().answers
    expect(answer).toMatchObject({
      errorCode: 0,
      generationId: 1,
      leader: 'm1',
      memberId: 'm1',
      protocolName: 'range',
    })
    expect(answer!.members.map((member) => member.memberId)).toEqual(['m1'])
    expect(world.data.state).toBe('completingRebalance')
  })

  test('from version 4 on a dynamic member must come back with the id it is given (KIP-394)', () => {
    const world = new GroupWorld()
    const refused = world.join({ version: 4 }).answers[0]!
    expect(refused).toMatchObject({ errorCode: 79, generationId: -1, memberId: 'm1' })
    expect(world.data.members.size).toBe(0)
    expect(world.join({ version: 4, memberId: refused.memberId }).answers[0]).toMatchObject({
      errorCode: 0,
      memberId: 'm1',
    })
  })

  test('an id that was given out is forgotten after the session timeout, and then unknown', () => {
    const world = new GroupWorld()
    world.join({ version: 4, sessionTimeoutMs: 6_000 })
    expect(world.group.isTraceless).toBe(false)
    world.advance(6_000)
    expect(world.group.isTraceless).toBe(true)
    expect(world.join({ version: 4, memberId: 'm1' }).answers[0]!.errorCode).toBe(25)
  })

  test('no more ids are given out than the group may have pending', () => {
    const world = new GroupWorld({ groupMaxPendingMembers: 1 })
    world.join({ version: 4 })
    expect(world.join({ version: 4 }).answers[0]).toMatchObject({ errorCode: 81, memberId: '' })
  })

  test('a member that the group never had is unknown', () => {
    const world = new GroupWorld()
    expect(world.join({ memberId: 'stranger' }).answers[0]!.errorCode).toBe(25)
    world.stablePair()
    expect(world.join({ memberId: 'stranger' }).answers[0]!.errorCode).toBe(25)
  })

  test('a member of another type, or without a common protocol, is refused (23)', () => {
    const world = new GroupWorld()
    expect(world.join({ protocols: [] }).answers[0]!.errorCode).toBe(23)
    const many = Array.from({ length: 257 }, (_, index) => ({ ...range, name: `p${index}` }))
    expect(world.join({ protocols: many }).answers[0]!.errorCode).toBe(23)
    expect(world.join({ protocolType: '' }).answers[0]!.errorCode).toBe(23)
    world.join()
    expect(world.join({ protocolType: 'connect' }).answers[0]!.errorCode).toBe(23)
    expect(world.join({ protocols: [roundRobin] }).answers[0]!.errorCode).toBe(23)
    expect(world.data.members.size).toBe(1)
  })

  test('whoever comes back to a group that lost its only member meanwhile is taken', () => {
    const world = new GroupWorld({ groupInitialRebalanceDelayMs: 3_000 })
    const waiting = world.join({ version: 4 }).answers[0]!.memberId
    world.join()
    world.leave('m2')
    const late = world.join({ version: 4, memberId: waiting, protocolType: 'connect' })
    world.advance(6_000)
    expect(late.answers[0]).toMatchObject({ errorCode: 0, protocolType: 'connect' })
  })

  test('the protocol that most members prefer, among those that all speak, is selected', () => {
    const world = new GroupWorld({ groupInitialRebalanceDelayMs: 3_000 })
    const only = { name: 'only', metadata: subscription('t') }
    world.join({ protocols: [only, range, roundRobin] })
    world.join({ protocols: [roundRobin, range] })
    const last = world.join({ protocols: [roundRobin, range] })
    world.advance(10_000)
    expect(last.answers[0]!.protocolName).toBe('roundrobin')
  })

  test('the first rebalance waits for more members while they keep coming, up to the rebalance timeout', () => {
    const world = new GroupWorld({ groupInitialRebalanceDelayMs: 3_000 })
    const first = world.join({ rebalanceTimeoutMs: 7_000 })
    world.advance(2_999)
    const second = world.join({ rebalanceTimeoutMs: 7_000 })
    world.advance(3_000)
    expect(first.answers).toHaveLength(0)
    const third = world.join({ rebalanceTimeoutMs: 7_000 })
    world.advance(1_001)
    expect([first, second, third].map((sent) => sent.answers.length)).toEqual([1, 1, 1])
    expect(third.answers[0]!.generationId).toBe(1)
    expect(world.nowMs).toBe(1_000 + 7_000)
  })

  test('the first rebalance ends after one delay when nobody else comes', () => {
    const world = new GroupWorld({ groupInitialRebalanceDelayMs: 3_000 })
    const only = world.join()
    world.advance(2_999)
    expect(only.answers).toHaveLength(0)
    world.advance(1)
    expect(only.answers[0]!.generationId).toBe(1)
  })

  test('a full group refuses one more (81) and keeps those it has', () => {
    const world = new GroupWorld({ groupMaxSize: 2 })
    const [first, second] = world.stablePair()
    expect(world.join().answers[0]).toMatchObject({ errorCode: 81, memberId: '' })
    expect(world.heartbeat(first, 2)).toBe(0)
    expect(world.heartbeat(second, 2)).toBe(0)
  })

  test('a follower that joins a stable group with the same protocols is told of the current generation', () => {
    const world = new GroupWorld()
    const [, second] = world.stablePair()
    expect(world.join({ memberId: second }).answers[0]).toMatchObject({
      errorCode: 0,
      generationId: 2,
      members: [],
    })
    expect(world.data.state).toBe('stable')
  })

  test('a leader that joins a stable group always begins a rebalance', () => {
    const world = new GroupWorld()
    const [first, second] = world.stablePair()
    const again = world.join({ memberId: first })
    expect(again.answers).toHaveLength(0)
    expect(world.heartbeat(second, 2)).toBe(27)
    world.join({ memberId: second })
    expect(again.answers[0]!.generationId).toBe(3)
  })

  test('a follower whose metadata changed begins a rebalance', () => {
    const world = new GroupWorld()
    const [first, second] = world.stablePair()
    world.join({ memberId: second, protocols: [{ name: 'range', metadata: subscription('u') }] })
    expect(world.heartbeat(first, 2)).toBe(27)
  })

  test('joining again with the same metadata before the assignment is there repeats the answer', () => {
    const world = new GroupWorld()
    const first = world.join().answers[0]!
    expect(world.join({ memberId: first.memberId }).answers[0]).toEqual(first)
    expect(world.data.generationId).toBe(1)
  })

  test('of two JoinGroups of one member the later counts and the earlier is sent away (27)', () => {
    const world = new GroupWorld()
    const [first, second] = world.stablePair()
    const early = world.join({ memberId: first })
    const late = world.join({ memberId: first })
    expect(early.answers[0]!.errorCode).toBe(27)
    world.join({ memberId: second })
    expect(late.answers[0]).toMatchObject({ errorCode: 0, generationId: 3 })
  })

  test('members that do not rejoin within the rebalance timeout are out, and a leader among them is replaced', () => {
    const world = new GroupWorld()
    const [first, second] = world.stablePair()
    const joined = world.join({
      memberId: second,
      protocols: [{ name: 'range', metadata: subscription('u') }],
    })
    for (let waited = 0; waited < 60_000; waited += 5_000) {
      world.heartbeat(first, 2)
      world.advance(5_000)
    }
    expect(joined.answers[0]).toMatchObject({ errorCode: 0, generationId: 3, leader: second })
    expect(world.heartbeat(first, 2)).toBe(25)
  })

  test('a member that hangs in its first JoinGroup is sent away when it takes too long', () => {
    const world = new GroupWorld({ newMemberJoinTimeoutMs: 20_000 })
    world.join({ sessionTimeoutMs: 1_000_000, rebalanceTimeoutMs: 1_000_000 })
    const hanging = world.join({ rebalanceTimeoutMs: 1_000_000 })
    world.advance(20_000)
    expect(hanging.answers[0]).toMatchObject({ errorCode: 25, memberId: '' })
  })
})
