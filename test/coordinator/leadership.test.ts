import { describe, expect, test } from 'vitest'
import { EngineError } from '../../src/model/errors.ts'
import { FakeClock, settle } from './support/fakeClock.ts'
import { FakeNode, FakePartition } from './support/replicatedWorld.ts'

interface World {
  readonly partition: FakePartition
  readonly clock: FakeClock
  readonly one: FakeNode
  readonly two: FakeNode
}

function newWorld(): World {
  const partition = new FakePartition()
  const clock = new FakeClock()
  return { partition, clock, one: new FakeNode(partition, clock, 1), two: new FakeNode(partition, clock, 2) }
}

/** Everything that is under way is committed, and everybody is told. */
async function commitAll({ partition, clock }: World): Promise<void> {
  for (let round = 0; round < 4; round++) {
    await settle()
    partition.commit()
    partition.tell()
    await clock.advance(60)
  }
}

/** `node` leads and serves. */
async function lead(world: World, node: FakeNode, kept = 0): Promise<void> {
  world.partition.elect(node.replica, kept)
  await commitAll(world)
}

async function now<T>(promise: Promise<T>): Promise<T | undefined> {
  let answer: T | undefined
  void promise.then((value) => {
    answer = value
  })
  await settle()
  return answer
}

const codeOf = (response: Awaited<ReturnType<FakeNode['commit']>> | undefined) =>
  response?.topics[0]?.partitions[0]?.errorCode

async function fetched(world: World, node: FakeNode, groupId = 'g'): Promise<number | string> {
  const answer = node.fetch(groupId)
  await commitAll(world)
  const { errorCode, topics } = await answer
  return errorCode === 0 ? (topics[0]?.partitions[0]?.committedOffset ?? 'none') : `error ${errorCode}`
}

async function stableMember(world: World, node: FakeNode): Promise<string> {
  const { memberId } = await node.join('g', '')
  const synced = node.sync('g', memberId, 1, { [memberId]: 'all' })
  await commitAll(world)
  expect((await synced).errorCode).toBe(0)
  return memberId
}

describe('a shard in a cluster', () => {
  test('nobody who does not lead answers for a group (16)', async () => {
    const { one } = newWorld()
    expect(codeOf(await one.commit(1, 'g'))).toBe(16)
    expect((await one.join('g', '')).errorCode).toBe(16)
    expect((await one.fetch('g')).errorCode).toBe(16)
  })

  test('a new leader says that it loads (14) until its epoch has begun for good, and then has what was committed', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const commit = world.one.commit(7, 'g')
    await commitAll(world)
    expect(codeOf(await commit)).toBe(0)

    world.partition.elect(world.two.replica, 0)
    await world.clock.advance(1_000)
    expect(codeOf(await world.two.commit(8, 'g'))).toBe(14)
    expect((await world.two.join('g', '')).errorCode).toBe(14)
    expect((await world.two.fetch('g')).errorCode).toBe(14)
    await commitAll(world)
    expect(await fetched(world, world.two)).toBe(7)
  })

  test('what the old leader had not committed, and the new one has, is loaded with the rest', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const commit = world.one.commit(7, 'g')
    await settle()
    await lead(world, world.two, 1)
    expect(await fetched(world, world.two)).toBe(7)
    world.one.replica.depose()
    expect(codeOf(await commit)).toBe(16)
  })

  test('a commit is answered, and shows, only once it is committed', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const commit = world.one.commit(7, 'g')
    expect(await now(commit)).toBeUndefined()
    world.partition.commit()
    expect(await now(commit)).toBeUndefined()
    world.partition.tell()
    expect(codeOf(await commit)).toBe(0)
  })

  test('whoever waits when the reign ends is sent away (16): in a rebalance, for an assignment, for a write', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const joined = await world.one.join('left', '')
    const stored = world.one.sync('left', joined.memberId, 1)
    await commitAll(world)
    expect((await stored).errorCode).toBe(0)
    await stableMember(world, world.one)
    const joining = world.one.join('g', '')
    const commit = world.one.commit(3, 'other')
    const deleted = world.one.coordinator.deleteGroups({ groupsNames: ['other'] })
    const syncing = world.one.join('h', '')
    const leader = (await syncing).memberId
    const assigned = world.one.sync('h', leader, 1, { [leader]: 'all' })
    const leaving = world.one.coordinator.leaveGroup({
      groupId: 'left',
      members: [{ memberId: joined.memberId, groupInstanceId: null, reason: null }],
    })
    await settle()
    world.one.replica.depose()
    expect((await joining).errorCode).toBe(16)
    expect(codeOf(await commit)).toBe(16)
    expect((await assigned).errorCode).toBe(16)
    expect((await deleted).results[0]!.errorCode).toBe(16)
    expect((await leaving).errorCode).toBe(16)
    await world.clock.advance(60_000)
    expect(world.clock.armed).toBe(2) // The look at expired offsets of each node.
  })

  test('members go on at the next leader with their ids and generation', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const memberId = await stableMember(world, world.one)
    await lead(world, world.two)
    expect(await world.two.heartbeat('g', memberId, 1)).toBe(0)
    expect(Buffer.from((await world.two.sync('g', memberId, 1)).assignment).toString()).toBe('all')
    const commit = world.two.commit(9, 'g', 0, { memberId, generationId: 1 })
    await commitAll(world)
    expect(codeOf(await commit)).toBe(0)
    world.one.replica.depose()
    expect(await world.one.heartbeat('g', memberId, 1)).toBe(16)
  })

  test('a leader that does not know yet that another leads tells nobody what it takes for committed', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const first = world.one.commit(7, 'g')
    await commitAll(world)
    expect(codeOf(await first)).toBe(0)
    await lead(world, world.two)
    const second = world.two.commit(8, 'g')
    await commitAll(world)
    expect(codeOf(await second)).toBe(0)

    const stale = world.one.fetch('g')
    await commitAll(world)
    expect(await now(stale)).toBeUndefined()
    world.one.replica.depose()
    expect((await stale).errorCode).toBe(16)
  })

  test('a write that waited for room does not get into a later reign of the same node', async () => {
    const world = newWorld()
    await lead(world, world.one)
    world.one.replica.hasRoom = false
    const late = world.one.commit(7, 'g')
    await settle()
    await lead(world, world.two)
    const second = world.two.commit(8, 'g')
    await commitAll(world)
    expect(codeOf(await second)).toBe(0)
    await lead(world, world.one)
    world.one.replica.giveRoom()
    await commitAll(world)
    expect(codeOf(await late)).toBe(16)
    expect(await fetched(world, world.one)).toBe(8)
    expect(world.partition.offsets()).toEqual(['g/t/0=8'])
  })

  test('a completion of an older reign that comes late changes nothing', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const late = world.one.commit(7, 'g')
    await settle()
    world.partition.commit() // It is committed, but the coordinator is not told yet.
    await world.clock.advance(0)
    world.partition.elect(world.two.replica, 0)
    world.one.replica.depose()
    expect(codeOf(await late)).toBe(16)
    for (let round = 0; round < 4; round++) {
      world.partition.commit()
      await world.clock.advance(60)
    }
    const second = world.two.commit(8, 'g')
    await settle()
    world.partition.commit()
    world.partition.elect(world.one.replica, 0)
    await world.clock.advance(60)
    world.partition.commit()
    await world.clock.advance(60)
    world.partition.commit()
    await world.clock.advance(60)
    world.partition.tell()
    expect(codeOf(await second)).toBe(0)
    expect(await fetched(world, world.one)).toBe(8)
  })

  test('after a write whose fate is open the groups are read anew, even if nobody else leads', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const commit = world.one.commit(7, 'g')
    await settle()
    world.partition.elect(world.one.replica, 1)
    expect(codeOf(await commit)).toBe(16)
    await commitAll(world)
    expect(await fetched(world, world.one)).toBe(7)
  })

  test('a shard of an older reign is not asked, even if nobody has told that the reign is over', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const first = world.one.commit(7, 'g')
    await commitAll(world)
    await first
    world.one.replica.changed = () => {}
    await lead(world, world.two)
    const second = world.two.commit(8, 'g')
    await commitAll(world)
    await second
    await lead(world, world.one)
    expect((await world.one.fetch('g')).errorCode).toBe(14)
    await commitAll(world)
    expect(await fetched(world, world.one)).toBe(8)
  })

  test('a write that may be there or not, without a change of leaders, makes the groups be read anew', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const commit = world.one.commit(7, 'g')
    await settle()
    const [proposal] = world.one.replica.proposals
    proposal!.reject(new EngineError('requestTimedOut', 'nobody knows'))
    expect(codeOf(await commit)).toBe(16)
    await commitAll(world)
    expect(await fetched(world, world.one)).toBe(7)
  })

  test('topics that are deleted while the log is read take their offsets with them', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const commit = world.one.commit(7, 'g')
    await commitAll(world)
    await commit
    world.partition.elect(world.two.replica, 0)
    await settle()
    world.two.coordinator.onTopicsDeleted(['t'])
    await commitAll(world)
    expect(await fetched(world, world.two)).toBe('none')
    expect(world.partition.offsets()).toEqual([])
  })

  test('a log that is shortened while it is read is read again from its new start', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const first = world.one.commit(7, 'gone')
    await commitAll(world)
    await first
    const deleted = world.one.coordinator.deleteGroups({ groupsNames: ['gone'] })
    await commitAll(world)
    await deleted
    const second = world.one.commit(8, 'g')
    await commitAll(world)
    await second

    // What was committed for the first group is read before it goes; its deletion is not.
    const { replica } = world.two
    const read = replica.read.bind(replica)
    replica.read = (fromOffset) => {
      if (fromOffset > 0 && replica.log.logStartOffset === 0) replica.log.logStartOffset = 3
      if (fromOffset < replica.log.logStartOffset) {
        throw new EngineError('offsetOutOfRange', 'the log begins later')
      }
      return read(fromOffset, 1)
    }
    await lead(world, world.two)
    expect(await fetched(world, world.two)).toBe(8)
    expect(await fetched(world, world.two, 'gone')).toBe('none')
  })

  test('a log that could not be read is tried again until it can be', async () => {
    const world = newWorld()
    await lead(world, world.one)
    const commit = world.one.commit(7, 'g')
    await commitAll(world)
    await commit
    const { replica } = world.two
    const read = replica.read.bind(replica)
    replica.read = () => {
      throw new Error('input/output error')
    }
    await lead(world, world.two)
    expect(codeOf(await world.two.commit(8, 'g'))).toBe(15)
    replica.read = read
    await world.clock.advance(1_000)
    await commitAll(world)
    expect(await fetched(world, world.two)).toBe(7)
  })
})
