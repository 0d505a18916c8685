import { describe, expect, test } from 'vitest'
import type { OffsetCommitResponse } from '../../src/coordinator/messages.ts'
import { commitCode, GroupWorld, subscription, textOf } from './support/groupWorld.ts'

const range = { name: 'range', metadata: subscription('t') }
const roundRobin = { name: 'roundrobin', metadata: subscription('t') }

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
    const [first, second] = world.stablePair()
    const joining = world.join({ memberId: first })
    world.step({ type: 'closed' })
    expect(joining.answers[0]!.errorCode).toBe(16)
    expect(second).toBeDefined()
  })
})
