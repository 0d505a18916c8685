import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GroupData } from '../../src/coordinator/groupData.ts'
import type {
  JoinGroupResponse,
  OffsetCommitResponse,
  SyncGroupResponse,
} from '../../src/coordinator/messages.ts'
import { describeForLog } from '../../src/coordinator/rebalance.ts'
import { bytes, GroupWorld, type Sent, subscription, textOf } from './support/groupWorld.ts'

const partitions = [0, 1, 2, 3]
const instances = ['a', 'b']
const clients = [0, 1, 2, 3]

/** What a client in the model believes. */
interface Client {
  memberId: string
  generationId: number
  readonly instance: string | null
  join: Sent<JoinGroupResponse> | null
  sync: Sent<SyncGroupResponse> | null
}

type Action =
  | { readonly type: 'join'; readonly client: number; readonly version: 3 | 5 | 9; readonly topic: string }
  | { readonly type: 'sync' | 'heartbeat' | 'leave' | 'forget'; readonly client: number }
  | {
      readonly type: 'commit'
      readonly client: number
      readonly partition: number
      readonly generation: -1 | 0
    }
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'flush' | 'fail' | 'restart' | 'expireOffsets' | 'deleteGroup' | 'simpleCommit' }

const client = fc.constantFrom(...clients)
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('join' as const),
      client,
      version: fc.constantFrom(3 as const, 5 as const, 9 as const),
      topic: fc.constantFrom('t', 't', 't', 'u'),
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('sync' as const), client }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('commit' as const),
      client,
      partition: fc.constantFrom(...partitions),
      generation: fc.constantFrom(-1 as const, 0 as const, 0 as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constantFrom('heartbeat' as const, 'leave' as const, 'forget' as const),
      client,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 1_000, 4_000, 11_000, 40_000),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constantFrom(
        ...([
          'flush',
          'flush',
          'flush',
          'fail',
          'restart',
          'expireOffsets',
          'deleteGroup',
          'simpleCommit',
        ] as const),
      ),
    }),
  },
)

/** A group, four clients of which two are static, and what must hold whatever they do. */
class Model {
  readonly world = new GroupWorld({ groupInitialRebalanceDelayMs: 500, offsetsRetentionMs: 60_000 })
  readonly clients: Client[] = clients.map((index) => ({
    memberId: '',
    generationId: -1,
    instance: instances[index] ?? null,
    join: null,
    sync: null,
  }))
  /** Requests of processes that died with the broker: nobody waits for them. */
  readonly lost = new Set<Sent<unknown>>()
  /** What answered commits have set, and by which write: durable, so never to be seen going back. */
  readonly committed = new Map<number, number>()
  /** generation -> member -> assignment that was told, since the last restart made generations uncertain. */
  readonly told = new Map<number, Map<string, string>>()
  readonly waitingCommits: {
    readonly sent: Sent<OffsetCommitResponse>
    readonly partition: number
    readonly offset: number
  }[] = []
  nextOffset = 1
  lastGeneration = 0

  run(step: Action): void {
    const { world } = this
    world.autoFlush = false
    if (world.removed) this.reset()
    switch (step.type) {
      case 'join':
        this.join(this.clients[step.client]!, step.version, step.topic)
        break
      case 'sync':
        this.sync(this.clients[step.client]!)
        break
      case 'heartbeat': {
        const { memberId, generationId, instance } = this.clients[step.client]!
        const valid = this.isValid(this.clients[step.client]!)
        const code = world.heartbeat(memberId, generationId, instance)
        if (code === 0) expect(valid).toBe(true)
        break
      }
      case 'leave': {
        const { memberId, instance } = this.clients[step.client]!
        world.leave(instance === null ? memberId : { memberId, instance })
        break
      }
      case 'forget':
        Object.assign(this.clients[step.client]!, { memberId: '', generationId: -1, join: null, sync: null })
        break
      case 'commit':
        this.commit(this.clients[step.client]!, step.partition, step.generation)
        break
      case 'simpleCommit':
        this.commit({ memberId: '', generationId: -1, instance: null, join: null, sync: null }, 0, 0)
        break
      case 'advance':
        world.advance(step.ms)
        break
      case 'flush':
        world.flush()
        break
      case 'fail':
        if (world.unflushed.length > 0) world.fail('diskFull')
        break
      case 'restart':
        this.restart()
        break
      case 'deleteGroup':
        world.deleteGroup()
        break
      case 'expireOffsets':
        world.step({ type: 'expireOffsets' })
        break
    }
    this.observe()
    this.check()
  }

  join(who: Client, version: number, topic: string): void {
    who.join = this.world.join({
      memberId: who.memberId,
      version,
      ...(who.instance === null ? {} : { instance: who.instance }),
      protocols: [{ name: 'range', metadata: subscription(topic) }],
      rebalanceTimeoutMs: 20_000,
    })
    who.sync = null
  }

  sync(who: Client): void {
    const answer = who.join?.answers[0]
    const isLeader = answer !== undefined && answer.leader === who.memberId && !answer.skipAssignment
    const assignments: Record<string, string> = {}
    if (isLeader) {
      const members = answer.members
      for (const [index, member] of members.entries()) {
        assignments[member.memberId] = partitions
          .filter((partition) => partition % members.length === index)
          .join()
      }
    }
    who.sync = this.world.sync(who.memberId, who.generationId, assignments, who.instance)
  }

  commit(who: Client, partition: number, generation: -1 | 0): void {
    const { data } = this.world
    const generationId = who.generationId + generation
    const valid = this.isValid({ ...who, generationId })
    const mayCommit = (generationId < 0 && data.state === 'empty') || valid
    const offset = this.nextOffset++
    const options = { partition, ...(who.instance === null ? {} : { instance: who.instance }) }
    const writes = this.world.log.length
    const sent = this.world.commit(who.memberId, generationId, offset, options)
    // Only a member of the current generation writes, or anybody into an empty group.
    if (this.world.log.length > writes) expect(mayCommit && data.state !== 'completingRebalance').toBe(true)
    this.waitingCommits.push({ sent, partition, offset })
  }

  /** Independently of the code under test: is this a present member of the current generation? */
  isValid({ memberId, generationId, instance }: Client): boolean {
    const { data } = this.world
    const member = data.members.get(memberId)
    return (
      member !== undefined &&
      generationId === data.generationId &&
      (instance === null || member.groupInstanceId === instance)
    )
  }

  restart(): void {
    const { world } = this
    for (const sent of world.sent) if (sent.answers.length === 0) this.lost.add(sent)
    const durable = world.log.slice(0, world.log.length - world.unflushed.length).flat()
    const before = snapshot(world.data)
    const wasStable =
      world.data.state === 'stable' && world.data.durable?.generation === world.data.generationId
    const members = new Map(world.data.members)
    world.restart()
    expect(snapshot(world.data).offsets).toEqual(before.offsets)
    // A stable group whose last change is durable comes back as it was: ids, generation, assignments.
    if (wasStable && [...members.values()].every((member) => member.joinToken === null)) {
      expect(world.data.generationId).toBe(before.generationId)
      for (const member of world.data.members.values()) {
        const old = members.get(member.memberId)
        if (old !== undefined) expect(textOf(member.assignment)).toBe(textOf(old.assignment))
      }
      for (const id of members.keys()) expect(world.data.members.has(id)).toBe(true)
    }
    expect(durable.length).toBe(world.log.flat().length)
    this.told.clear()
    this.lastGeneration = world.data.generationId
  }

  /** The group was deleted: the next request makes a new one, which knows nothing. */
  reset(): void {
    const { world } = this
    for (const sent of world.sent) if (sent.answers.length === 0) this.lost.add(sent)
    world.restart()
    this.committed.clear()
    this.told.clear()
    this.lastGeneration = 0
    expect(world.data.offsets.size).toBe(0)
  }

  /** Takes in what has been answered since. */
  observe(): void {
    for (const who of this.clients) {
      const joined = who.join?.answers[0]
      if (joined !== undefined && (joined.errorCode === 0 || joined.errorCode === 79)) {
        who.memberId = joined.memberId
        if (joined.errorCode === 0) who.generationId = Math.max(who.generationId, joined.generationId)
      } else if (joined?.errorCode === 25) who.memberId = ''
      const synced = who.sync?.answers[0]
      if (synced?.errorCode === 0) this.tell(who, textOf(synced.assignment))
      if (synced !== undefined) who.sync = null
    }
    for (const [index, { sent, partition, offset }] of [...this.waitingCommits.entries()].reverse()) {
      if (sent.answers.length === 0) continue
      this.waitingCommits.splice(index, 1)
      const code = sent.answers[0]!.topics[0]!.partitions[0]!.errorCode
      if (code === 0) this.committed.set(partition, Math.max(offset, this.committed.get(partition) ?? 0))
    }
  }

  tell(who: Client, assignment: string): void {
    const generation = this.told.get(who.generationId) ?? new Map<string, string>()
    this.told.set(who.generationId, generation)
    // A static member that came back owns what its former self did.
    generation.set(who.instance ?? who.memberId, assignment)
  }

  check(): void {
    const { data } = this.world
    expect(this.world.sent.filter((sent) => sent.answers.length > 1)).toEqual([])
    // I15: one owner per partition per generation.
    for (const generation of this.told.values()) {
      const owned = [...generation.values()].flatMap((text) => (text === '' ? [] : text.split(',')))
      expect(new Set(owned).size).toBe(owned.length)
    }
    expect(data.generationId).toBeGreaterThanOrEqual(this.lastGeneration)
    this.lastGeneration = data.generationId
    // Every waiting request is the group's to answer: in a member, or behind a write.
    const waiting = new Set<number>()
    for (const member of data.members.values()) {
      if (member.joinToken !== null) waiting.add(member.joinToken.id)
      if (member.syncToken !== null) waiting.add(member.syncToken.id)
      expect(
        member.groupInstanceId === null || data.staticMembers.get(member.groupInstanceId) === member.memberId,
      ).toBe(true)
    }
    for (const write of data.writes.values()) {
      if ('token' in write && write.token !== null) waiting.add(write.token.id)
      if (write.type === 'emptied' && write.leave !== null) waiting.add(write.leave.token.id)
    }
    const isForgotten = (sent: Sent<unknown>): boolean =>
      sent.answers.length === 0 && !this.lost.has(sent) && !waiting.has(sent.token.id)
    if (!this.world.removed) expect(this.world.sent.filter(isForgotten)).toEqual([])
    if (data.state === 'empty' || data.state === 'dead') expect(data.members.size).toBe(0)
    if (data.state === 'stable' || data.state === 'completingRebalance')
      expect(data.members.size).toBeGreaterThan(0)
    const spoken = new Map<string, number>()
    for (const member of data.members.values()) {
      for (const { name } of member.protocols) spoken.set(name, (spoken.get(name) ?? 0) + 1)
    }
    expect(data.protocolCounts).toEqual(spoken)
    expect(data.leaderId === null || data.members.has(data.leaderId)).toBe(true)
    expect(data.state === 'preparingRebalance').toBe(data.joinDeadlineMs !== Infinity)
    // What was answered shows, until expiry or deletion takes it away by a request of its own.
    for (const [partition, offset] of this.committed) {
      const shown = this.world.offset('t', partition)
      if (shown === null) this.committed.delete(partition)
      else expect(shown).toBeGreaterThanOrEqual(offset)
    }
  }

  /** All faults over: flush, and let every deadline pass. Nobody may wait any more. */
  finish(): void {
    const { world } = this
    for (let round = 0; round < 20; round++) {
      world.flush()
      world.advance(30_000)
    }
    world.advance(600_000)
    world.flush()
    this.observe()
    this.check()
    for (const sent of world.sent) if (!this.lost.has(sent)) expect(sent.answers).toHaveLength(1)
    if (world.removed) return
    expect(world.data).toMatchObject({ state: 'empty', writes: new Map() })
    expect(world.group.nextDeadlineMs).toBe(Infinity)
  }
}

function snapshot(data: GroupData) {
  const offsets = [...data.offsets].flatMap(([topic, parts]) =>
    [...parts].map(([partition, { offset }]) => `${topic}-${partition}=${offset}`),
  )
  return { ...describeForLog(data), generationId: data.generationId, offsets: offsets.sort() }
}

test('whatever clients, clock, log and kills do, the invariants hold and nobody waits for ever (I15)', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60, size: 'max' }), (actions) => {
      const model = new Model()
      for (const step of actions) model.run(step)
      model.finish()
    }),
    { numRuns: 500 },
  )
})

test('an assignment told twice is the same, whoever asks (I15)', () => {
  const world = new GroupWorld()
  const [first, second] = world.stablePair()
  expect(textOf(world.sync(first, 2, { [first]: 'other', [second]: 'other' }).answers[0]!.assignment)).toBe(
    'one',
  )
  expect(world.log.flat().filter((record) => record.type === 'group')).toHaveLength(1)
  expect(bytes('one')).toHaveLength(3)
})
