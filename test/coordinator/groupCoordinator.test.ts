import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { OffsetFetchRequest } from '../../src/coordinator/messages.ts'
import { encodeOffsetsRecord } from '../../src/coordinator/recordFormat.ts'
import { EngineError } from '../../src/model/errors.ts'
import { BatchHeader } from '../../src/segment/recordBatch.ts'
import { CoordinatorWorld } from './support/coordinatorWorld.ts'
import { settle } from './support/fakeClock.ts'
import { MemoryLog } from './support/memoryLog.ts'

const codeOf = (
  response: { topics: readonly { partitions: readonly { errorCode: number }[] }[] } | undefined,
) => response?.topics[0]?.partitions[0]?.errorCode

describe('durability', () => {
  test('a commit is answered, and shows, only once the log has flushed it', async () => {
    const world = await CoordinatorWorld.start()
    world.disk.autoFlush = false
    const commit = world.commit(7)
    expect(await world.now(commit)).toBeUndefined()
    expect(world.offset()).toBe(-1)
    world.disk.flush()
    expect(codeOf(await commit)).toBe(0)
    expect(world.offset()).toBe(7)
    await world.restart()
    expect(world.offset()).toBe(7)
  })

  test('an assignment is told only once the log has flushed it', async () => {
    const world = await CoordinatorWorld.start()
    const { memberId } = await world.join()
    world.disk.autoFlush = false
    const sync = world.sync(memberId, 1, { [memberId]: 'one' })
    expect(await world.now(sync)).toBeUndefined()
    world.disk.flush()
    expect((await sync).errorCode).toBe(0)
  })

  test('after a kill members go on with their ids and generation, without a rebalance', async () => {
    const world = await CoordinatorWorld.start()
    const memberId = await world.stable()
    await world.commit(7, { memberId, generationId: 1 })
    await world.restart()
    expect(await world.heartbeat(memberId, 1)).toBe(0)
    expect(Buffer.from((await world.sync(memberId, 1)).assignment).toString()).toBe('one')
    expect(world.offset()).toBe(7)
    expect(codeOf(await world.commit(8, { memberId, generationId: 1 }))).toBe(0)
  })

  test('after a kill members that do not come back are out when their session is over', async () => {
    const world = await CoordinatorWorld.start()
    const memberId = await world.stable()
    await world.restart()
    await world.clock.advance(9_999)
    expect(
      world.coordinator.describeGroups({ groups: ['g'] }, world.context(5)).groups[0]!.members,
    ).toHaveLength(1)
    await world.clock.advance(1)
    expect(world.coordinator.describeGroups({ groups: ['g'] }, world.context(5)).groups[0]!.groupState).toBe(
      'Empty',
    )
    expect(await world.heartbeat(memberId, 1)).toBe(25)
  })

  test('what was under way when the broker was killed never was', async () => {
    const world = await CoordinatorWorld.start()
    await world.commit(7)
    world.disk.autoFlush = false
    void world.commit(8)
    await settle()
    world.disk.autoFlush = true
    await world.restart()
    expect(world.offset()).toBe(7)
  })

  test('commits that come while the disk is busy share the next write', async () => {
    const world = await CoordinatorWorld.start()
    world.disk.autoFlush = false
    const commits = [world.commit(1)]
    await settle()
    for (let partition = 1; partition < 50; partition++) commits.push(world.commit(1, { partition }))
    await settle()
    expect(world.disk.submits).toBe(1)
    world.disk.flush()
    await settle()
    world.disk.flush()
    await Promise.all(commits)
    expect(world.disk.submits).toBe(2)
  })

  test('a disk that fails ends the request, not the coordinator', async () => {
    const world = await CoordinatorWorld.start()
    world.disk.autoFlush = false
    const commit = world.commit(7)
    await settle()
    world.disk.fail(new EngineError('diskFailed', 'input/output error'))
    expect(codeOf(await commit)).toBe(16)
    expect(codeOf(await world.commit(8))).toBe(16)
    expect(world.offset()).toBe(-1)
  })

  test('a disk that hangs makes the client ask again (15); what it writes later still shows', async () => {
    const world = await CoordinatorWorld.start()
    world.disk.autoFlush = false
    const commit = world.commit(7)
    await world.clock.advance(4_999)
    expect(await world.now(commit)).toBeUndefined()
    await world.clock.advance(1)
    expect(codeOf(await commit)).toBe(15)
    world.disk.flush()
    await settle()
    expect(world.offset()).toBe(7)
    expect(world.clock.armed).toBe(1)
  })

  test('a disk with no room in its queue is not given more (15)', async () => {
    const world = await CoordinatorWorld.start()
    world.disk.queuedBytes = world.disk.maxQueuedBytes
    expect(codeOf(await world.commit(7))).toBe(15)
    world.disk.queuedBytes = 0
    expect(codeOf(await world.commit(7))).toBe(0)
  })

  test('what does not fit into a record is refused, alone', async () => {
    const world = await CoordinatorWorld.start()
    const tooLong = 'x'.repeat(40_000)
    const [bad, good] = await Promise.all([world.commit(1, { topic: tooLong }), world.commit(2)])
    expect(codeOf(bad)).not.toBe(0)
    expect(codeOf(good)).toBe(0)
    expect([world.offset(tooLong), world.offset()]).toEqual([-1, 2])
  })

  test('an assignment larger than the log takes is an error (-1), and the group goes on', async () => {
    const world = await CoordinatorWorld.start()
    const { memberId } = await world.join()
    const sync = await world.sync(memberId, 1, { [memberId]: 'x'.repeat(2 * 1024 * 1024) })
    expect(sync.errorCode).toBe(-1)
    expect((await world.join(memberId)).generationId).toBe(2)
  })

  test('members keep what they sent after the request is gone', async () => {
    const world = await CoordinatorWorld.start()
    const metadata = Buffer.from('metadata')
    const request = {
      groupId: 'g',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      memberId: '',
      groupInstanceId: null,
    }
    const protocols = [{ name: 'p', metadata: metadata.subarray(0) }]
    const joined = await world.coordinator.joinGroup(
      { ...request, protocolType: 'other', protocols, reason: null },
      world.context(3),
    )
    metadata.fill(0)
    const again = await world.join(joined.memberId).catch(() => null)
    expect(again?.errorCode).toBe(23)
    const assignment = Buffer.from('assignment')
    const sync = world.coordinator.syncGroup({
      groupId: 'g',
      generationId: 1,
      memberId: joined.memberId,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      assignments: [{ memberId: joined.memberId, assignment: assignment.subarray(0) }],
    })
    assignment.fill(0)
    expect(Buffer.from((await sync).assignment).toString()).toBe('assignment')
    const [group] = world.coordinator.describeGroups({ groups: ['g'] }, world.context(5)).groups
    expect(Buffer.from(group!.members[0]!.memberMetadata).toString()).toBe('metadata')
  })
})

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

describe('the log', () => {
  test('a log that has grown is rewritten: what is live comes back, what was replaced or removed does not', async () => {
    const world = await CoordinatorWorld.start({ offsetsLogBytes: 20_000 })
    const memberId = await world.stable('members')
    await world.commit(1, { groupId: 'gone' })
    await world.commit(5, { groupId: 'kept', topic: 'u' })
    await world.coordinator.deleteGroups({ groupsNames: ['gone'] })
    for (let offset = 0; offset < 1_000; offset++) await world.commit(offset)
    expect(world.log.logStartOffset).toBeGreaterThan(500)
    expect(world.log.liveBytes).toBeLessThan(25_000)
    await world.restart()
    expect([world.offset(), world.offset('u', 0, 'kept'), world.offset('t', 0, 'gone')]).toEqual([999, 5, -1])
    expect(await world.heartbeat(memberId, 1, 'members')).toBe(0)
    expect(Buffer.from((await world.sync(memberId, 1, {}, 'members')).assignment).toString()).toBe('one')
  })

  test('a log whose live part is most of it is left alone', async () => {
    const world = await CoordinatorWorld.start({ offsetsLogBytes: 20_000 })
    for (let partition = 0; partition < 400; partition++) await world.commit(1, { partition })
    expect(world.log.logStartOffset).toBe(0)
  })

  test('a damaged record is reported and left out; the others are served', async () => {
    const world = await CoordinatorWorld.start()
    await world.commit(1)
    await world.commit(2, { groupId: 'other' })
    const damaged = Buffer.from(world.log.file.bytes)
    damaged[80] = damaged[80]! ^ 0xff
    world.log.file.bytes = damaged
    await world.restart()
    expect([world.offset(), world.offset('t', 0, 'other')]).toEqual([-1, 2])
    expect(world.reports).toHaveLength(1)
  })

  test('whatever byte of the log is damaged, the coordinator starts, says so, and invents nothing', async () => {
    const world = await CoordinatorWorld.start()
    const memberId = await world.stable('members')
    for (let offset = 1; offset <= 4; offset++) await world.commit(offset, { partition: offset })
    const good = Buffer.from(world.log.file.bytes)
    const flip = fc.record({ at: fc.nat(good.length - 1), to: fc.integer({ min: 1, max: 255 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 3 }), async (flips) => {
        const bytes = Buffer.from(good)
        for (const { at, to } of flips) bytes[at] = bytes[at]! ^ to
        world.reports.length = 0
        world.log.file.bytes = bytes
        world.create()
        await world.coordinator.start()
        const isServed = codeOf(await world.now(world.commit(9, { topic: 'after' }))) === 0
        for (let offset = 1; offset <= 4; offset++) {
          const found = isServed ? world.offset('t', offset) : -1
          expect([-1, offset]).toContain(found)
          if (found === -1) expect(world.reports.length).toBeGreaterThan(0)
        }
        expect([0, 15, 25]).toContain(await world.heartbeat(memberId, 1, 'members'))
        await world.coordinator.close()
        world.log.file.bytes = Buffer.from(good)
        world.logs = [new MemoryLog(world.disk, 'offsets-0')]
      }),
      { numRuns: 200 },
    )
  })

  test('a batch whose base offset is damaged does not vanish without a word', async () => {
    const world = await CoordinatorWorld.start()
    await world.stable('members')
    await world.commit(1, { partition: 1 })
    const lastBatch = world.log.file.bytes.length - lastBatchBytes(world.log.file.bytes)
    world.log.file.bytes = Buffer.from(world.log.file.bytes)
    world.log.file.bytes[lastBatch]! ^= 0x80
    world.reports.length = 0
    world.create()
    await world.coordinator.start()
    expect(world.reports).not.toEqual([])
    expect(codeOf(await world.now(world.commit(9)))).toBe(15)
  })

  test('a log that cannot be read is not served (15); the others are', async () => {
    const world = await CoordinatorWorld.start({}, 2)
    const names = ['a', 'b'].sort(
      (x, y) => world.coordinator.partitionFor(x) - world.coordinator.partitionFor(y),
    )
    for (const groupId of names) await world.commit(1, { groupId })
    const failing = world.logs[0]!
    failing.read = () => {
      throw new EngineError('diskFailed', 'input/output error')
    }
    world.create()
    await world.coordinator.start()
    expect(codeOf(await world.commit(2, { groupId: names[0]! }))).toBe(15)
    expect(codeOf(await world.commit(2, { groupId: names[1]! }))).toBe(0)
    expect(world.reports).toHaveLength(1)
  })

  test('records of types that this release does not know are passed over, ones that lie are reported', async () => {
    const world = await CoordinatorWorld.start()
    const key = encodeOffsetsRecord({
      type: 'offset',
      groupId: 'g',
      topic: 't',
      partition: 0,
      value: null,
    }).key
    await world.appendRaw({ key: Buffer.from('00030001670000', 'hex'), value: Buffer.from('0000', 'hex') })
    await world.appendRaw({ key, value: Buffer.from('0063', 'hex') })
    await world.appendRaw({ key: key.subarray(0, 5), value: null })
    await world.commit(1, { topic: 'u' })
    await world.restart()
    expect([world.offset(), world.offset('u')]).toEqual([-1, 1])
    expect(world.reports).toHaveLength(2)
  })

  test('a group lives on the partition that Kafka gives it', async () => {
    const world = await CoordinatorWorld.start({}, 50)
    // "console-consumer-1".hashCode() and friends, from Java.
    expect(world.coordinator.partitionFor('')).toBe(0)
    expect(world.coordinator.partitionFor('a')).toBe(97 % 50)
    expect(world.coordinator.partitionFor('polygenelubricants')).toBe(0)
    expect(world.coordinator.partitionFor('hello')).toBe(99_162_322 % 50)
  })
})

/** How long the last batch of `bytes` is. */
function lastBatchBytes(bytes: Uint8Array): number {
  let at = 0
  for (;;) {
    const { sizeBytes } = new BatchHeader(bytes, at)
    if (at + sizeBytes === bytes.length) return sizeBytes
    at += sizeBytes
  }
}
