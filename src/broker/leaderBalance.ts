import type { GroupPartition } from './groupPartition.ts'

/** Leaderships that change hands at the same time, so that none waits long for its successor. */
const maxAtOnce = 32
/** How often a partition is tried when it has to go. */
const maxTries = 3

/**
 * Gives all leaderships of a node to others, spread over those that are in sync and may be asked, a few at a time. Resolves once
 * nothing is led that somebody else could lead.
 */
export async function handOverAll(
  partitions: readonly GroupPartition[],
  nodeId: number,
  mayLead: (nodeId: number) => boolean,
): Promise<void> {
  const given = new Map<number, number>()
  const queue = partitions.filter(({ isLeader }) => isLeader)
  const run = async (): Promise<void> => {
    for (let partition = queue.shift(); partition !== undefined; partition = queue.shift()) {
      for (let attempt = 0; attempt < maxTries && partition.isLeader; attempt++) {
        const to = successorOf(partition, nodeId, mayLead, given)
        if (to < 0) break
        given.set(to, (given.get(to) ?? 0) + 1)
        // A successor that does not come is not asked again first.
        await partition.group.transferLeadership(to).catch(() => {})
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(maxAtOnce, queue.length) }, run))
}

/** The in-sync voter that was given least so far, -1 when there is none. The preferred replica wins a draw. */
function successorOf(
  partition: GroupPartition,
  nodeId: number,
  mayLead: (nodeId: number) => boolean,
  given: ReadonlyMap<number, number>,
): number {
  const candidates = partition.lookInSync().filter((id) => id !== nodeId && mayLead(id))
  let best = -1
  for (const id of candidates) if (best < 0 || (given.get(id) ?? 0) < (given.get(best) ?? 0)) best = id
  return best
}

/**
 * Gives leaderships back to their preferred replicas, at most `most` of them; how many. A replica is preferred that stands first
 * among those of the partition, and it has to be in sync.
 */
export async function givePreferred(
  partitions: Iterable<GroupPartition>,
  nodeId: number,
  preferredOf: (partition: GroupPartition) => number,
  mayLead: (nodeId: number) => boolean,
  most = maxAtOnce,
): Promise<number> {
  const moves: Promise<void>[] = []
  for (const partition of partitions) {
    if (moves.length === most) break
    if (!partition.isLeader) continue
    const to = preferredOf(partition)
    if (to < 0 || to === nodeId || !mayLead(to) || !partition.lookInSync().includes(to)) continue
    moves.push(partition.group.transferLeadership(to).catch(() => {}))
  }
  await Promise.all(moves)
  return moves.length
}
