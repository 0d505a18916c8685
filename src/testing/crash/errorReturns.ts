import { isDurable } from '../../model/flushPolicy.ts'
import type { DiskCallKind } from '../diskPace.ts'
import type { Image } from '../medium.ts'
import { SimClock } from '../simClock.ts'
import { SimFileSystem, type SystemCode } from '../simFileSystem.ts'
import type { SimRandom } from '../simRandom.ts'
import type { DiskCall, DiskFault, DiskFaults } from '../systemCalls.ts'
import { checkState } from './checkState.ts'
import { checkLive, Violation } from './oracle.ts'
import type { Recorder } from './recorder.ts'
import { type Recording, record } from './recording.ts'
import type { Workload } from './workload.ts'
import { SimProcess } from './world.ts'

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

/** How many calls after one that fails the power goes, at most. */
const mostCallsAfter = 12

/** Single failures of a workload's calls: at most `most`, evenly over kinds, places and codes. */
export function chooseFailures(
  counts: ReadonlyMap<DiskCallKind, number>,
  random: SimRandom,
  most: number,
): CallFailure[] {
  const kinds = [...counts.keys()]
  return Array.from({ length: most }, () => {
    // What a failed sync means is the hardest of all to get right.
    const kind = random.chance(0.3) ? 'sync' : random.pick(kinds)
    const code: SystemCode = random.pick(codes[kind] ?? anyCall)
    const count = 1 + random.below(counts.get(kind) ?? 1)
    // A full disk stays full for a while.
    const lasts = code === 'ENOSPC' && random.chance(0.5) ? random.below(12) : 0
    const writtenBytes = kind === 'write' && random.chance(0.5) ? 1 + random.below(900) : 0
    return { kind, count, until: count + lasts, code, writtenBytes }
  })
}

/**
 * Runs a workload in which calls fail: what was acknowledged is there while it runs, for the next process, and after
 * the power has gone. Throws `Violation`, or whatever is no coded error.
 */
export async function checkFailure(workload: Workload, failure: CallFailure): Promise<void> {
  const run: { recorder?: Recorder } = {}
  const fails = failing(failure)
  /** What the power leaves some calls after the one that fails: whatever goes on makes good what was lost. */
  const soon: { readonly moment: number; readonly left: Image }[] = []
  let callsLeft = -1
  const recording = await record(workload, {
    begins(recorder) {
      run.recorder = recorder
    },
    faults(call) {
      const fault = fails(call)
      if (fault !== null && callsLeft < 0) callsLeft = 1 + (failure.count % mostCallsAfter)
      else if (callsLeft > 0 && --callsLeft === 0) {
        const { moment, fs } = run.recorder!
        soon.push({ moment, left: fs.medium.crashed(() => false) })
      }
      return fault
    },
    async atEnd(recorder) {
      const last = recorder.process
      if (last.isOpen) await last.settle(checkLive(last.runtime.disk, last.directory, recorder.logs))
    },
  })
  for (const state of soon) await checkState({ recording, ...state }, workload.seed + 2)
  const moment = recording.events.length
  const { fs } = run.recorder!
  const { medium } = fs
  const [lost, stored] = [medium.crashed(() => false), medium.crashed(() => true)]
  await checkState({ recording, moment, left: lost }, workload.seed)
  await checkState({ recording, moment, left: stored }, workload.seed + 1)
  await checkNextProcess(recording, fs)
}

/**
 * The next process sees a page cache that may show what a failed sync has lost. What it takes for durable must be: all
 * of that is there when the power goes right after its start.
 */
async function checkNextProcess(recording: Recording, fs: SimFileSystem): Promise<void> {
  const { endedMs } = recording
  const next = processFor(recording, fs, endedMs)
  const directory = await next.settle(next.open())
  const flushed = new Map<string, number>()
  for (const [name, log] of directory.logs) {
    if (log.offline === null && isDurable(log.config.flush)) flushed.set(name, log.flushedOffset)
  }
  next.kill()
  const after = processFor(recording, new SimFileSystem({ image: fs.medium.crashed(() => false) }), endedMs)
  const found = await after.settle(after.open())
  for (const [name, endOffset] of flushed) {
    const log = found.logs.get(name)
    if (log === undefined) throw new Violation(`the log ${name} was there, and the power took it`)
    if (log.logEndOffset >= endOffset || log.offline !== null) continue
    throw new Violation(
      `the log ${name} opened with ${endOffset} as flushed after a sync had failed; the power left ${log.logEndOffset}`,
    )
  }
  after.kill()
}

function processFor(recording: Recording, fs: SimFileSystem, wallMs: number): SimProcess {
  const { workload, logs } = recording
  return new SimProcess({
    fs,
    clock: new SimClock(wallMs),
    seed: workload.seed,
    segmentBytes: workload.segmentBytes,
    policyOf: (topic) => logs.findLast((log) => log.topic === topic)?.policy ?? 'batch',
  })
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
