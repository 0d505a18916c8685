import { anyBatches, type FileRange } from '../model/fileRange.ts'

/** How many numbers name a range to the addon; `native/src/batches.rs` has the twin of their order. */
export const rangeNumbers = 7

/** Writes a range of the file that the addon knows as `id` at `at`. */
export function putRange(plan: Float64Array, at: number, id: number, range: FileRange): void {
  const { minOffset, isGapless, minEpoch, maxEpoch } = range.bounds ?? anyBatches
  plan[at] = id
  plan[at + 1] = range.position
  plan[at + 2] = range.lengthBytes
  plan[at + 3] = minOffset
  plan[at + 4] = isGapless ? 1 : 0
  plan[at + 5] = minEpoch
  plan[at + 6] = maxEpoch
}
