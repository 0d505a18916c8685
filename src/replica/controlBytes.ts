import type { Batch } from '../raft.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { encodeControlBatch } from './wire/batches.ts'

/** What a batch of the core is in the log: its records as they came, or its control records made into bytes. */
export function bytesOf(batch: Batch, { clock, checksum }: Pick<Runtime, 'clock' | 'checksum'>): Uint8Array {
  if (batch.records instanceof Uint8Array) return batch.records
  return encodeControlBatch(batch, clock.wallMs(), checksum)
}
