import { SimRandom } from '../simRandom.ts'
import type { BrokerOperation, MemberOperationKind } from './brokerOperations.ts'

/** What the operations of members are drawn for. */
export interface MemberOptions {
  readonly seed: number
  readonly durationMs: number
  /** How many there are; drawn when undefined. */
  readonly members: number | undefined
  /** The number of the first operation. */
  readonly firstNumber: number
}

/** How many members a run has, and when they come, go and fall silent: several times each. */
export function planMembers({ seed, durationMs, members, firstNumber }: MemberOptions): {
  readonly count: number
  readonly operations: readonly BrokerOperation[]
} {
  const random = new SimRandom(seed ^ 0x510e_527f)
  const drawn = random.pick([0, 0, 0, 0, 2, 3])
  const count = members ?? drawn
  const operations: BrokerOperation[] = []
  const add = (kind: MemberOperationKind, client: number, atMs: number): void => {
    const number = firstNumber + operations.length
    const rest = {
      topic: 0,
      partition: 0,
      node: 1,
      records: 0,
      valueBytes: 0,
      isIdempotent: false,
      batches: 1,
      replicas: 3,
    }
    operations.push({ number, atMs, client, kind, ...rest })
  }
  if (count === 0) return { count, operations }
  for (let member = 0; member < count; member++) add('joinGroup', member, 100 + random.below(1500))
  for (let atMs = 2000 + random.below(2000); atMs < durationMs; atMs += 500 + random.below(2500)) {
    add(random.pick(['joinGroup', 'joinGroup', 'leaveGroup', 'stallMember']), random.below(count), atMs)
  }
  return { count, operations }
}
