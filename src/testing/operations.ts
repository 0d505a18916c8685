import { SimRandom } from './simRandom.ts'

/** Something that a client asks for. `number` names it for good: a run without it has all the others unchanged. */
export interface Operation {
  readonly number: number
  readonly atMs: number
  readonly client: number
  /** Which of the groups, from 0 on. */
  readonly group: number
  /** `append` records, read records from a place, or ask where the log ends and mean now. */
  readonly kind: 'append' | 'read' | 'readEnd'
  /** The node that is asked first. */
  readonly node: number
  /** Batches of an append, each of `records` records. */
  readonly batches: number
  readonly records: number
  readonly valueBytes: number
  /** Where a read begins: between the start of the log (0) and its end (1). */
  readonly place: number
  /** Whether the client that appends is an idempotent producer, which sends one batch at a time. */
  readonly isIdempotent: boolean
}

/** What operations are drawn for. */
export interface OperationOptions {
  readonly seed: number
  readonly nodes: number
  readonly groups: number
  readonly durationMs: number
  /** How many in a second, of all clients. */
  readonly perSecond: number
}

/** What clients ask for in one run: now and then nothing, now and then a lot at once. */
export function planOperations({
  seed,
  nodes,
  groups,
  durationMs,
  perSecond,
}: OperationOptions): readonly Operation[] {
  const random = new SimRandom(seed ^ 0x2c1b_3c6d)
  const clients = 1 + random.below(4)
  const readShare = random.pick([0.05, 0.2, 0.5])
  const mostBatches = random.pick([1, 1, 3])
  const mostRecords = random.pick([1, 2, 6])
  const mostBytes = random.pick([10, 100, 800])
  const operations: Operation[] = []
  const own = new SimRandom(seed ^ 0x51ed_270b)
  const idempotentShare = own.pick([0, 0.5, 1])
  const idempotent = Array.from({ length: clients }, () => own.chance(idempotentShare))
  const meanMs = 1000 / perSecond
  for (let atMs = 0, number = 1; ; number++) {
    // Bursts: three in four come close together.
    atMs += random.chance(0.75) ? random.below(Math.ceil(meanMs)) / 2 : random.below(Math.ceil(meanMs * 5))
    if (atMs >= durationMs) return operations
    const isRead = random.chance(readShare)
    const client = random.below(clients)
    operations.push({
      number,
      atMs,
      client,
      isIdempotent: idempotent[client]!,
      group: random.below(groups),
      kind: isRead ? random.pick(['read', 'readEnd'] as const) : 'append',
      node: 1 + random.below(nodes),
      batches: 1 + random.below(mostBatches),
      records: 1 + random.below(mostRecords),
      valueBytes: random.below(mostBytes),
      place: random.below(101) / 100,
    })
  }
}
