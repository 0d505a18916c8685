import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FakeClock, settle } from './support/fakeClock.ts'
import { textOf } from './support/groupWorld.ts'
import { FakeNode, FakePartition } from './support/replicatedWorld.ts'

const nodeIds = [0, 1, 2] as const
const groups = ['a', 'b'] as const
/** A node, or whoever leads. */
const node = fc.constantFrom(0, 1, 2, 'leader' as const, 'leader' as const, 'leader' as const)
type NodeId = number | 'leader'
const client = fc.constantFrom(0, 1, 2)

type Action =
  | { readonly type: 'commit'; readonly node: NodeId; readonly group: 'a' | 'b'; readonly partition: number }
  | { readonly type: 'elect'; readonly node: NodeId; readonly kept: number }
  | { readonly type: 'depose' | 'crash' | 'noRoom' | 'giveRoom' | 'fetch'; readonly node: NodeId }
  | { readonly type: 'commitAll' | 'tell' | 'calm' }
  | { readonly type: 'advance'; readonly ms: number }
  /** All consumers join, and ask for their assignment. */
  | { readonly type: 'rebalance'; readonly node: NodeId; readonly isCalm: boolean }
  | { readonly type: 'join' | 'sync' | 'memberCommit'; readonly node: NodeId; readonly client: number }

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('commit' as const),
      node,
      group: fc.constantFrom(...groups),
      partition: fc.nat(1),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('elect' as const), node, kept: fc.nat(3) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constantFrom('depose', 'depose', 'crash', 'noRoom', 'giveRoom', 'fetch', 'fetch'),
      node: fc.constantFrom(...nodeIds),
    }) as fc.Arbitrary<Action>,
  },
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant('rebalance' as const), node, isCalm: fc.boolean() }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constantFrom('commitAll', 'tell', 'calm', 'calm'),
    }) as fc.Arbitrary<Action>,
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 60, 60, 4_000, 11_000),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constantFrom('join', 'join', 'sync', 'sync', 'memberCommit'),
      node,
      client,
    }) as fc.Arbitrary<Action>,
  },
)

/** A consumer that may ask any node. */
interface Client {
  memberId: string
  generationId: number
  /** Ids of all members, if it is to assign. */
  members: readonly string[]
}

/** Three nodes, one partition of `__consumer_offsets`, and what must hold wherever its leadership goes. */
class Model {
  readonly clock = new FakeClock()
  readonly partition = new FakePartition()
  readonly nodes = nodeIds.map((id) => new FakeNode(this.partition, this.clock, id + 1))
  readonly clients: Client[] = [0, 1, 2].map(() => ({ memberId: '', generationId: -1, members: [] }))
  /** The largest offset of each key whose commit was answered without an error. */
  readonly acknowledged = new Map<string, number>()
  /** generation -> member -> the partitions that it was told are its own. */
  readonly told = new Map<number, Map<string, string>>()
  nextOffset = 1
  loads = 0
  violations: string[] = []

  async run(step: Action): Promise<void> {
    const { partition, clock } = this
    switch (step.type) {
      case 'elect':
        partition.elect(this.node(step.node).replica, step.kept)
        break
      case 'depose':
        this.node(step.node).replica.depose()
        break
      case 'crash':
        this.node(step.node).replica.depose()
        this.node(step.node).start()
        break
      case 'noRoom':
        this.node(step.node).replica.hasRoom = false
        break
      case 'giveRoom':
        this.node(step.node).replica.giveRoom()
        break
      case 'commitAll':
        partition.commit()
        break
      case 'tell':
        partition.tell()
        break
      case 'calm':
        await this.calm()
        break
      case 'rebalance':
        for (const who of this.clients.keys()) this.member({ type: 'join', node: step.node, client: who })
        await settle()
        for (const who of this.clients.keys()) this.member({ type: 'sync', node: step.node, client: who })
        if (step.isCalm) await this.calm()
        break
      case 'advance':
        await clock.advance(step.ms)
        break
      case 'commit':
        this.commit(step.node, step.group, step.partition)
        break
      case 'fetch':
        this.fetch(step.node)
        break
      default:
        this.member(step)
    }
    await settle()
    expect(this.violations).toEqual([])
  }

  async calm(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      this.partition.commit()
      this.partition.tell()
      await this.clock.advance(60)
    }
  }

  node(id: NodeId): FakeNode {
    if (id !== 'leader') return this.nodes[id]!
    return this.nodes.find(({ replica }) => replica === this.partition.leader) ?? this.nodes[0]!
  }

  commit(id: NodeId, group: string, partition: number, member?: Client): void {
    const offset = this.nextOffset++
    const key = `${group}/t/${partition}`
    void this.node(id)
      .commit(offset, group, partition, member)
      .then((response) => {
        if (response.topics[0]!.partitions[0]!.errorCode !== 0) return
        this.acknowledged.set(key, Math.max(offset, this.acknowledged.get(key) ?? 0))
      })
  }

  /** I15: nothing that is told is older than what was acknowledged before the question. */
  fetch(id: NodeId): void {
    for (const group of groups) {
      const before = new Map(this.acknowledged)
      void this.node(id)
        .fetch(group)
        .then(({ errorCode, topics }) => {
          if (errorCode !== 0) return
          for (const partition of [0, 1]) {
            const found = topics[0]?.partitions.find(({ partitionIndex }) => partitionIndex === partition)
            const least = before.get(`${group}/t/${partition}`) ?? -1
            if ((found?.committedOffset ?? -1) >= least) continue
            this.violations.push(`${group}/t/${partition} is ${found?.committedOffset}, was ${least}`)
          }
        })
    }
  }

  member(step: Extract<Action, { readonly client: number }>): void {
    const who = this.clients[step.client]!
    const at = this.node(step.node)
    if (step.type === 'memberCommit') this.commit(step.node, 'a', 1, who)
    else if (step.type === 'join') {
      void at.join('a', who.memberId).then(({ errorCode, memberId, generationId, members }) => {
        if (errorCode === 25) who.memberId = ''
        if (errorCode !== 0 || generationId < who.generationId) return
        Object.assign(who, { memberId, generationId, members: members.map((each) => each.memberId) })
      })
    } else {
      const { memberId, generationId, members } = who
      const shares = members.map((id, index) => [id, `${memberId}: ${index}`] as const)
      const assignments = Object.fromEntries(shares)
      void at.sync('a', memberId, generationId, assignments).then(({ errorCode, assignment }) => {
        if (errorCode === 0) this.tell(generationId, memberId, textOf(assignment))
      })
    }
  }

  /** I15: one owner per partition and generation, whoever was leading when it was told. */
  tell(generationId: number, memberId: string, assignment: string): void {
    const generation = this.told.get(generationId) ?? new Map<string, string>()
    this.told.set(generationId, generation)
    if ((generation.get(memberId) ?? assignment) !== assignment)
      this.violations.push(`generation ${generationId}: ${memberId} was told two things`)
    generation.set(memberId, assignment)
    const owned = [...generation.values()].filter((text) => text !== '').map((text) => text.split(': ')[1])
    if (new Set(owned).size !== owned.length)
      this.violations.push(`generation ${generationId} has two owners: ${[...generation.values()]}`)
  }

  /** A node becomes leader and has what is committed, exactly. */
  async reload(id: number): Promise<void> {
    for (const { replica } of this.nodes) replica.giveRoom()
    this.partition.elect(this.nodes[id]!.replica, 1)
    for (const other of this.nodes) if (other !== this.nodes[id]) other.replica.depose()
    await this.clock.advance(100)
    for (let round = 0; round < 8; round++) {
      this.partition.commit()
      this.partition.tell()
      await this.clock.advance(60)
    }
    const shown: string[] = []
    for (const group of groups) {
      const answer = this.nodes[id]!.fetch(group)
      await settle()
      this.partition.commit()
      const { errorCode, topics } = await answer
      expect(errorCode).toBe(0)
      for (const { partitionIndex, committedOffset } of topics[0]?.partitions ?? [])
        shown.push(`${group}/t/${partitionIndex}=${committedOffset}`)
    }
    expect(shown.sort()).toEqual(this.partition.offsets())
    for (const [key, offset] of this.acknowledged) {
      const found = shown.find((each) => each.startsWith(`${key}=`))
      expect(Number(found?.split('=')[1])).toBeGreaterThanOrEqual(offset)
    }
    this.loads++
  }
}

test('wherever leadership goes and whatever comes late, committed offsets never go back and no partition has two owners (I15)', async () => {
  let acknowledged = 0
  let told = 0
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 20, maxLength: 90, size: 'max' }), async (actions) => {
      const model = new Model()
      await model.run({ type: 'elect', node: 0, kept: 0 })
      for (const step of actions) await model.run(step)
      for (const id of nodeIds) await model.reload(id)
      expect(model.violations).toEqual([])
      acknowledged += model.acknowledged.size
      told += model.told.size
    }),
    { numRuns: 200 },
  )
  // The worlds are not so hostile that nothing ever works.
  expect(acknowledged).toBeGreaterThan(100)
  expect(told).toBeGreaterThan(20)
})
