import type { Clock } from '../runtime/clock.ts'
import type { GroupPartition } from './groupPartition.ts'

/** Leaderships that change hands at the same time, so that none waits long for its successor. */
const maxAtOnce = 32
/** How long is tried to give away what nobody is in sync to take, or what comes back. Milliseconds. */
const withinMs = 5000
/** How long until that is tried again. Milliseconds. */
const againMs = 20

/**
 * Gives all leaderships of a node to others, spread over those that are in sync and may be asked, a few at a time. Resolves once
 * nothing is led that somebody else could lead, at the latest after five seconds.
 */
export async function handOverAll(
  partitions: () => Iterable<GroupPartition>,
  nodeId: number,
  mayLead: (nodeId: number) => boolean,
  clock: Clock,
): Promise<void> {
  const given = new Map<number, number>()
  const endMs = clock.monotonicMs() + withinMs
  const isAnybodysElse = ({ isLeader, group }: GroupPartition): boolean =>
    isLeader && group.voters.voters.voters.some(({ id }) => id !== nodeId && mayLead(id))
  for (;;) {
    const queue = [...partitions()].filter(isAnybodysElse)
    if (queue.length === 0 || clock.monotonicMs() >= endMs) return
    const run = async (): Promise<void> => {
      for (let partition = queue.shift(); partition !== undefined; partition = queue.shift()) {
        const to = successorOf(partition, nodeId, mayLead, given)
        if (to < 0) continue
        given.set(to, (given.get(to) ?? 0) + 1)
        // Who does not come in time may be asked again, or another one.
        await partition.group.transferLeadership(to).catch(() => {})
      }
    }
    await Promise.all(Array.from({ length: Math.min(maxAtOnce, queue.length) }, run))
    await new Promise<void>((resolve) => void clock.setTimer(againMs, resolve))
  }
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
