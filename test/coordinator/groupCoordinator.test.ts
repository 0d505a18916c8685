import { describe, expect, test } from 'vitest'
import type { OffsetFetchRequest } from '../../src/coordinator/messages.ts'
import { CoordinatorWorld, codeOf } from './support/coordinatorWorld.ts'
import { settle } from './support/fakeClock.ts'
import { MemoryLog } from './support/memoryLog.ts'

describe('requests', () => {
  test('session timeouts out of bounds (26) and empty group ids (24) are refused', async () => {
    const world = await CoordinatorWorld.start({ groupMinSessionTimeoutMs: 10_001 })
    expect((await world.join()).errorCode).toBe(26)
    expect((await world.join('', { groupId: '' })).errorCode).toBe(24)
    expect((await world.sync('m', 1, {}, '')).errorCode).toBe(24)
    expect(await world.heartbeat('m', 1, '')).toBe(24)
    expect((await world.coordinator.leaveGroup({ groupId: '', members: [] })).errorCode).toBe(24)
  })

  test('member ids begin with the client id, or the instance id of a static member', async () => {
    const world = await CoordinatorWorld.start()
    expect((await world.join('', { version: 4 })).memberId).toMatch(/^client-.{22}$/)
    expect((await world.join('', { instance: 'static' })).memberId).toMatch(/^static-.{22}$/)
  })

  test('before version 7 a failed JoinGroup has an empty protocol name instead of null', async () => {
    const world = await CoordinatorWorld.start()
    expect((await world.join('stranger', { version: 6 })).protocolName).toBe('')
    expect((await world.join('stranger', { version: 7 })).protocolName).toBe(null)
  })

  test('without a log nobody is coordinator (16); once there is one it serves', async () => {
    const world = await CoordinatorWorld.start()
    world.logs = [null]
    world.create()
    await world.coordinator.start()
    expect((await world.join()).errorCode).toBe(16)
    expect(codeOf(await world.commit(1))).toBe(16)
    world.logs = [new MemoryLog(world.disk, 'new')]
    expect((await world.join()).errorCode).toBe(0)
  })

  test('while the log is read clients wait (14), rejoin (27) or go on', async () => {
    const world = await CoordinatorWorld.start()
    const memberId = await world.stable()
    world.create()
    const started = world.coordinator.start()
    const [join, sync, beat, commit] = await Promise.all([
      world.join(),
      world.sync(memberId, 1),
      world.heartbeat(memberId, 1),
      world.commit(1),
    ])
    expect([join.errorCode, sync.errorCode, beat, codeOf(commit)]).toEqual([14, 27, 0, 14])
    await started
    expect(await world.heartbeat(memberId, 1)).toBe(0)
  })

  test('a group that does not exist: who is in it is unknown (25), what is committed to it with a generation refused', async () => {
    const world = await CoordinatorWorld.start()
    expect(await world.heartbeat('m', 1)).toBe(25)
    expect((await world.sync('m', 1)).errorCode).toBe(25)
    expect((await world.join('m')).errorCode).toBe(25)
    const member = { memberId: 'm', groupInstanceId: null, reason: null }
    expect(
      (await world.coordinator.leaveGroup({ groupId: 'g', members: [member] })).members[0]!.errorCode,
    ).toBe(25)
    expect(codeOf(await world.commit(1, { memberId: 'm', generationId: 1, version: 8 }))).toBe(22)
    expect(codeOf(await world.commit(1, { memberId: 'm', generationId: 1, version: 9 }))).toBe(69)
    expect(world.coordinator.listGroups({ statesFilter: [], typesFilter: [] }).groups).toEqual([])
  })

  test('OffsetFetch answers several groups, all topics for null, and -1 for what nobody committed', async () => {
    const world = await CoordinatorWorld.start()
    await world.commit(7)
    await world.commit(8, { topic: 'u', partition: 2 })
    const request: OffsetFetchRequest = {
      groups: [
        { groupId: 'g', topics: null },
        { groupId: 'nobody', topics: [{ name: 't', partitionIndexes: [0, 1] }] },
        { groupId: 'none', topics: null },
        { groupId: 'g', topics: null },
      ],
      requireStable: false,
    }
    const { groups } = await world.coordinator.fetchOffsets(request)
    const found = { committedLeaderEpoch: 3, metadata: 'note', errorCode: 0 }
    const none = { committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: 0 }
    expect(groups).toEqual([
      {
        groupId: 'g',
        errorCode: 0,
        topics: [
          { name: 't', partitions: [{ partitionIndex: 0, committedOffset: 7, ...found }] },
          { name: 'u', partitions: [{ partitionIndex: 2, committedOffset: 8, ...found }] },
        ],
      },
      {
        groupId: 'nobody',
        errorCode: 0,
        topics: [
          {
            name: 't',
            partitions: [
              { partitionIndex: 0, ...none },
              { partitionIndex: 1, ...none },
            ],
          },
        ],
      },
      { groupId: 'none', errorCode: 0, topics: [] },
      { groupId: 'g', errorCode: 42, topics: [] },
    ])
  })

  test('ListGroups filters by state and type, whatever the case of the letters', async () => {
    const world = await CoordinatorWorld.start({}, 4)
    await world.stable('a')
    await world.commit(1, { groupId: 'b' })
    const list = (statesFilter: string[], typesFilter: string[] = []) =>
      world.coordinator
        .listGroups({ statesFilter, typesFilter })
        .groups.map((group) => group.groupId)
        .sort()
    expect(list([])).toEqual(['a', 'b'])
    expect(list(['stable'])).toEqual(['a'])
    expect(list(['Empty', 'Dead'])).toEqual(['b'])
    expect(list([], ['Classic'])).toEqual(['a', 'b'])
    expect(list([], ['consumer'])).toEqual([])
  })

  test('DescribeGroups tells members and assignments of a stable group, and of a missing one that it is dead', async () => {
    const world = await CoordinatorWorld.start()
    const memberId = await world.stable()
    const { groups } = world.coordinator.describeGroups({ groups: ['g', 'nobody', 'g'] }, world.context(5))
    expect(groups).toHaveLength(2)
    expect(groups[0]).toMatchObject({ groupState: 'Stable', protocolType: 'consumer', protocolData: 'range' })
    expect(groups[0]!.members[0]).toMatchObject({ memberId, clientId: 'client', clientHost: '/127.0.0.1' })
    expect(Buffer.from(groups[0]!.members[0]!.memberAssignment).toString()).toBe('one')
    expect(groups[1]).toMatchObject({ groupState: 'Dead', errorCode: 0 })
    const newer = world.coordinator.describeGroups({ groups: ['nobody'] }, world.context(6))
    expect(newer.groups[0]).toMatchObject({ groupState: 'Dead', errorCode: 69 })
  })

  test('DeleteGroups tells each group apart, and what is deleted stays deleted', async () => {
    const world = await CoordinatorWorld.start({}, 4)
    await world.stable('busy')
    await world.commit(1, { groupId: 'idle' })
    const { results } = await world.coordinator.deleteGroups({ groupsNames: ['busy', 'idle', 'nobody'] })
    expect(results.map((result) => result.errorCode)).toEqual([68, 0, 69])
    await world.restart()
    expect(world.offset('t', 0, 'idle')).toBe(-1)
    const names = world.coordinator
      .listGroups({ statesFilter: [], typesFilter: [] })
      .groups.map((group) => group.groupId)
    expect(names).toEqual(['busy'])
  })

  test('a deleted group that had members does not come back with them', async () => {
    const world = await CoordinatorWorld.start()
    const memberId = await world.stable()
    await world.coordinator.leaveGroup({
      groupId: 'g',
      members: [{ memberId, groupInstanceId: null, reason: null }],
    })
    await world.coordinator.deleteGroups({ groupsNames: ['g'] })
    await world.restart()
    expect(world.coordinator.listGroups({ statesFilter: [], typesFilter: [] }).groups).toEqual([])
  })

  test('what was committed for a deleted topic is gone, after a restart too', async () => {
    const world = await CoordinatorWorld.start()
    await world.commit(1)
    await world.commit(2, { topic: 'kept' })
    world.coordinator.onTopicsDeleted(['t'])
    await settle()
    expect([world.offset(), world.offset('kept')]).toEqual([-1, 2])
    await world.restart()
    expect([world.offset(), world.offset('kept')]).toEqual([-1, 2])
  })

  test('a topic that was deleted just before a kill does not leave its offsets to the next of its name', async () => {
    const world = await CoordinatorWorld.start()
    await world.commit(1)
    await world.commit(2, { topic: 'kept' })
    await world.restart()
    world.coordinator.forgetMissingTopics((topic) => topic === 'kept')
    await settle()
    expect([world.offset(), world.offset('kept')]).toEqual([-1, 2])
  })

  test('offsets expire by themselves, and the group with them', async () => {
    const world = await CoordinatorWorld.start({ offsetsRetentionMs: 3_600_000 })
    await world.commit(1)
    await world.clock.advance(3_000_000)
    expect(world.offset()).toBe(1)
    await world.clock.advance(600_000)
    expect(world.offset()).toBe(-1)
    expect(world.coordinator.listGroups({ statesFilter: [], typesFilter: [] }).groups).toEqual([])
  })

  test('a jump of the wall clock ends no session', async () => {
    const world = await CoordinatorWorld.start()
    const memberId = await world.stable()
    world.clock.jumpWall(10 * 365 * 24 * 3_600_000)
    await world.clock.advance(1_000)
    expect(await world.heartbeat(memberId, 1)).toBe(0)
    world.clock.jumpWall(-20 * 365 * 24 * 3_600_000)
    await world.clock.advance(1_000)
    expect(await world.heartbeat(memberId, 1)).toBe(0)
  })
})

describe('cost and end', () => {
  test('an idle group has one timer, an empty one none, however many heartbeats there were', async () => {
    const world = await CoordinatorWorld.start()
    const idle = world.clock.armed
    const memberId = await world.stable()
    for (let beat = 0; beat < 100; beat++) {
      await world.clock.advance(3_000)
      expect(await world.heartbeat(memberId, 1)).toBe(0)
      expect(world.clock.armed).toBe(idle + 1)
    }
    await world.coordinator.leaveGroup({
      groupId: 'g',
      members: [{ memberId, groupInstanceId: null, reason: null }],
    })
    await world.clock.advance(5_000)
    expect(world.clock.armed).toBe(idle)
  })

  test('ids that are never used leave nothing behind', async () => {
    const world = await CoordinatorWorld.start()
    const idle = world.clock.armed
    for (let count = 0; count < 100; count++) await world.join('', { groupId: `g${count}`, version: 4 })
    expect(world.coordinator.listGroups({ statesFilter: [], typesFilter: [] }).groups).toHaveLength(100)
    await world.clock.advance(10_000)
    expect(world.coordinator.listGroups({ statesFilter: [], typesFilter: [] }).groups).toHaveLength(0)
    expect(world.clock.armed).toBe(idle)
    expect(world.log.logEndOffset).toBe(0)
  })

  test('closing answers whoever waits (16), waits for the log and leaves no timer', async () => {
    const world = await CoordinatorWorld.start()
    const memberId = await world.stable()
    const joining = world.join(memberId)
    const other = world.join()
    world.disk.autoFlush = false
    const commit = world.commit(3, { groupId: 'simple' })
    await settle()
    const closed = world.coordinator.close()
    expect(await world.now(closed)).toBeUndefined()
    world.disk.flush()
    await closed
    expect([(await joining).errorCode, (await other).errorCode]).toContain(16)
    expect(codeOf(await commit)).toBe(0)
    expect(world.clock.armed).toBe(0)
    expect((await world.join()).errorCode).toBe(16)
  })
})
