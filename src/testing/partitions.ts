import type { Cut, PartitionShape } from './fault.ts'
import type { SimRandom } from './simRandom.ts'

/** The links that a partition of `nodes` nodes cuts. */
export function drawPartition(shape: PartitionShape, nodes: number, random: SimRandom): readonly Cut[] {
  const ids = Array.from({ length: nodes }, (_, index) => index + 1)
  for (let at = ids.length - 1; at > 0; at--) {
    const other = random.below(at + 1)
    ;[ids[at], ids[other]] = [ids[other]!, ids[at]!]
  }
  const split = nodes < 2 ? 0 : 1 + random.below(nodes - 1)
  const left = ids.slice(0, split)
  const right = ids.slice(split)
  switch (shape) {
    case 'clientWithLeader':
      return []
    case 'symmetric':
      return [...crossing(left, right), ...crossing(right, left)]
    case 'oneWay':
      return crossing(left, right)
    case 'isolated':
      return [...crossing(ids.slice(0, 1), ids.slice(1)), ...crossing(ids.slice(1), ids.slice(0, 1))]
    case 'ring':
      // Each one reaches its two neighbours alone.
      return crossing(ids, ids).filter(({ from, to }) => {
        const apart = Math.abs(ids.indexOf(from) - ids.indexOf(to))
        return apart !== 1 && apart !== nodes - 1
      })
    case 'bridge': {
      // Two halves that only one node reaches both of.
      const [, ...others] = ids
      const half = others.length >> 1
      const [first, second] = [others.slice(0, half), others.slice(half)]
      return [...crossing(first, second), ...crossing(second, first)]
    }
  }
}

function crossing(from: readonly number[], to: readonly number[]): Cut[] {
  return from.flatMap((a) => to.filter((b) => b !== a).map((b) => ({ from: a, to: b })))
}
