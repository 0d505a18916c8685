import { join } from 'node:path'
import type { Seen } from './clients.ts'
import type { InteropCluster } from './cluster.ts'
import { type DumpedBatch, dumpTopic } from './dumpLog.ts'

/**
 * What of a topic was read more than once, a line each: an offset that the reader got twice, or a value at several offsets,
 * with the batches that hold it as the first node has them.
 */
export async function doublesIn(
  cluster: InteropCluster,
  topic: string,
  partitions: number,
  seen: readonly Seen[],
): Promise<string[]> {
  const byOffset = groupBy(seen, ({ partition, offset }) => `${partition}:${offset}`)
  const found = [...byOffset]
    .filter(([, all]) => all.length > 1)
    .map(([place, all]) => `read ${all.length} times: ${place} ${all[0]!.value}`)
  const stored = [...byOffset.values()].map(([first]) => first!)
  const byValue = groupBy(stored, ({ value }) => value)
  const twice = [...byValue.values()].filter((all) => all.length > 1)
  if (twice.length === 0) return found
  const { batches } = await dumpTopic(join(cluster.node(1).directory, 'data'), topic, partitions)
  const places = twice.map((all) => {
    const copies = all.map(
      ({ partition, offset }) => `${partition}:${offset} ${batchAt(batches, partition, offset)}`,
    )
    return `stored ${all.length} times: ${all[0]!.value} at ${copies.join(' and ')}`
  })
  return [...found, ...places]
}

function groupBy(seen: readonly Seen[], key: (each: Seen) => string): Map<string, Seen[]> {
  const groups = new Map<string, Seen[]>()
  for (const each of seen) {
    const group = groups.get(key(each))
    if (group === undefined) groups.set(key(each), [each])
    else group.push(each)
  }
  return groups
}

function batchAt(batches: readonly DumpedBatch[], partition: number, offset: number): string {
  const batch = batches.find(
    (each) => each.partition === partition && each.baseOffset <= offset && offset <= each.lastOffset,
  )
  return batch === undefined ? '(in no batch of node 1)' : `(${batch.origin})`
}
