import type { SendPart } from '../model/fileRange.ts'

/** Record batches that are sent from where they lie, without passing through memory. */
export interface RecordsRanges {
  /** The sum of the parts. */
  readonly lengthBytes: number
  readonly parts: readonly SendPart[]
}
