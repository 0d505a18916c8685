/**
 * When an append is acknowledged (design.md section 4 has the whole list; more come with the journal).
 * - `none`: once its bytes are in the page cache: survives the death of the process, not of the machine.
 * - `batch`: once an fdatasync of the segment, shared by everything queued meanwhile, has returned.
 */
export const flushPolicies = ['none', 'batch'] as const

/** One of `flushPolicies`. */
export type FlushPolicy = (typeof flushPolicies)[number]
