import type { DiskCallKind } from '../diskPace.ts'
import { SimFileSystem, type SystemCode } from '../simFileSystem.ts'
import type { SimRandom } from '../simRandom.ts'
import type { DiskCall, DiskFault, DiskFaults } from '../systemCalls.ts'
import { checkState } from './checkState.ts'
import { checkLive } from './oracle.ts'
import { type Recorder, record } from './recording.ts'
import type { Workload } from './workload.ts'

/** One call that fails: the `count`th of its kind, and those after it up to `until`. */
export interface CallFailure {
  readonly kind: DiskCallKind
  readonly count: number
  readonly until: number
  readonly code: SystemCode
  readonly writtenBytes: number
}

/** What each call may fail with. */
const codes: Readonly<Partial<Record<DiskCallKind, readonly SystemCode[]>>> = {
  open: ['EMFILE', 'EIO'],
  write: ['ENOSPC', 'EIO', 'EINTR'],
  truncate: ['EIO'],
  sync: ['EIO', 'ENOSPC'],
  read: ['EIO'],
  list: ['EIO', 'EMFILE'],
  stat: ['EIO'],
  makeDirectory: ['ENOSPC', 'EIO'],
  rename: ['EIO', 'ENOSPC'],
  remove: ['EIO'],
  syncDirectory: ['EIO', 'ENOSPC'],
  syncFileSystem: ['EIO'],
}

const anyCall: readonly SystemCode[] = ['EIO']

/** How often a workload makes each call when nothing fails. */
export async function countCalls(workload: Workload): Promise<ReadonlyMap<DiskCallKind, number>> {
  const counts = new Map<DiskCallKind, number>()
  await record(workload, {
    faults: ({ kind }) => {
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
      return null
    },
  })
  return counts
}

/** Single failures of a workload's calls: at most `most`, evenly over kinds, places and codes. */
export function chooseFailures(
  counts: ReadonlyMap<DiskCallKind, number>,
  random: SimRandom,
  most: number,
): CallFailure[] {
  const kinds = [...counts.keys()]
  return Array.from({ length: most }, () => {
    const kind = random.pick(kinds)
    const code: SystemCode = random.pick(codes[kind] ?? anyCall)
    const count = 1 + random.below(counts.get(kind)!)
    // A full disk stays full for a while.
    const lasts = code === 'ENOSPC' && random.chance(0.5) ? random.below(12) : 0
    const writtenBytes = kind === 'write' && random.chance(0.5) ? 1 + random.below(900) : 0
    return { kind, count, until: count + lasts, code, writtenBytes }
  })
}

/**
 * Runs a workload in which calls fail: what was acknowledged is there while it runs, after the process has gone, and
 * after the power has. Throws `Violation`, or whatever is no coded error.
 */
export async function checkFailure(workload: Workload, failure: CallFailure): Promise<void> {
  const recording = await record(workload, { faults: failing(failure), atEnd: checkEnd })
  const moment = recording.events.length
  const fs = new SimFileSystem({ image: recording.initial })
  for (const event of recording.events) fs.medium.apply(event)
  const lost = fs.medium.crashed(() => false)
  await checkState({ recording, moment, left: lost }, workload.seed)
  const stored = fs.medium.crashed(() => true)
  await checkState({ recording, moment, left: stored }, workload.seed + 1)
}

async function checkEnd(recorder: Recorder): Promise<void> {
  const last = recorder.process
  if (last.isOpen) await last.settle(checkLive(last.runtime.disk, last.directory, recorder.logs))
}

function failing(failure: CallFailure): DiskFaults {
  let seen = 0
  return ({ kind }: DiskCall): DiskFault | null => {
    if (kind !== failure.kind) return null
    seen++
    if (seen < failure.count || seen > failure.until) return null
    return { code: failure.code, writtenBytes: failure.writtenBytes }
  }
}
