import { expect } from 'vitest'
import type { Group } from '../../../src/replica/group.ts'
import type { DiskCallKind } from '../../../src/testing/diskPace.ts'
import { batchOf } from './cluster.ts'
import type { Lone } from './lone.ts'

/** Sees that the first append to a group is committed and acknowledged when a call of the disk has returned, and not before. */
export async function expectAckBehind(lone: Lone, group: Group, kind: DiskCallKind): Promise<void> {
  lone.gate.hold(kind)
  let isAcknowledged = false
  const appended = group.append(batchOf(lone.runtime, 'a'), { acks: 'all' }).then(() => {
    isAcknowledged = true
  })
  await lone.quiet()
  expect(isAcknowledged).toBe(false)
  expect(group.highWatermark).toBe(0)
  lone.gate.release()
  await appended
  expect(group.highWatermark).toBe(1)
}
