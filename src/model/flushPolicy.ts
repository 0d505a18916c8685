/** The flush policies by name, as `cordwood.flush.policy` has them. */
export const flushPolicyNames = [
  'none',
  'interval',
  'bytes',
  'records',
  'journal',
  'batch',
  'append',
] as const

/** One of `flushPolicyNames`. */
export type FlushPolicyName = (typeof flushPolicyNames)[number]

/**
 * What an acknowledged append survives: the death of the process, since its bytes are in the page cache, or the
 * loss of power too, since a sync that covers it has returned.
 */
export type Survives = 'processKill' | 'powerLoss'

/**
 * Policies under which every acknowledgement survives the loss of power.
 * - `journal`: after an fdatasync of the node's journal, shared by all logs.
 * - `batch`: after an fdatasync of the log's own segment, shared by everything queued meanwhile.
 * - `append`: after an fdatasync of its own, shared with nobody. For comparison.
 */
export type DurableFlush = 'journal' | 'batch' | 'append'

/**
 * How much that was acknowledged a loss of power may take, whichever bound is met first; at least one is there.
 * An append is acknowledged once it is in the page cache, but the one that reaches `bytes` or `records` (and what
 * follows it) only after a sync, so that there are never more than that many unsynced.
 */
export interface FlushBounds {
  /** Milliseconds from the first unsynced append to the sync. */
  readonly intervalMs?: number
  readonly bytes?: number
  readonly records?: number
}

/** When an append is acknowledged. `none`: once its bytes are in the page cache; synced when its segment is full. */
export type FlushPolicy = DurableFlush | 'none' | FlushBounds

/** Whether every acknowledgement under `policy` survives the loss of power. */
export function isDurable(policy: FlushPolicy): policy is DurableFlush {
  return policy === 'journal' || policy === 'batch' || policy === 'append'
}

/** Whether acknowledgements under `policy` may rest on syncs of the log's own files. */
export function acksBesideJournal(policy: FlushPolicy): boolean {
  return policy !== 'journal' && policy !== 'none'
}

/** `policy` for people: its name, and its bounds. */
export function describeFlush(policy: FlushPolicy): string {
  if (typeof policy === 'string') return policy
  const bounds: string[] = []
  if (policy.intervalMs !== undefined) bounds.push(`interval ${policy.intervalMs} ms`)
  if (policy.bytes !== undefined) bounds.push(`bytes ${policy.bytes}`)
  if (policy.records !== undefined) bounds.push(`records ${policy.records}`)
  return bounds.join(', ')
}
