import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { CoordinatorWorld, codeOf } from './support/coordinatorWorld.ts'
import { settle } from './support/fakeClock.ts'

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
