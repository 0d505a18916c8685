import type { DurableFlush, FlushPolicy, Survives } from '../model/flushPolicy.ts'

/** Where the records of an acknowledged append lie. */
interface AppendedRange {
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  /** The log had this batch of an idempotent producer already, at these offsets. */
  readonly duplicate: boolean
}

/** The promise of a durable policy: a power cut takes none of these records. */
export interface DurableAck extends AppendedRange {
  readonly survives: 'powerLoss'
  readonly policy: DurableFlush
}

/**
 * The promise of a relaxed policy: the death of the process takes none of these records, a power cut may. Those that
 * reach a bound of `bytes` or `records` are synced before this is said, and survive that too.
 */
export interface RelaxedAck extends AppendedRange {
  readonly survives: Survives
  readonly policy: Exclude<FlushPolicy, DurableFlush>
}

/** What an append promises under policy `F`; either, where the policy is not known when compiling. */
export type Ack<F extends FlushPolicy = FlushPolicy> = F extends DurableFlush ? DurableAck : RelaxedAck
