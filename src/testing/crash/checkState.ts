import { type Image, Medium, type MediumEvent } from '../medium.ts'
import { SimClock } from '../simClock.ts'
import { SimFileSystem } from '../simFileSystem.ts'
import { checkAfterwards } from './afterwards.ts'
import type { LogHistory, Moment } from './history.ts'
import { type Crash, checkRecovered, Violation } from './oracle.ts'
import type { Recording } from './recording.ts'
import { SimProcess } from './world.ts'

/** A moment of a recording and what was left of it. */
export interface CrashState {
  readonly recording: Recording
  readonly moment: Moment
  /** What the power left; or what a process left, of which the power may still take what is pending. */
  readonly left: Image | Medium
  /** The power had gone before: what a process left now is no more than what that had left. */
  readonly wasPowerLoss?: boolean
}

/** A state that has been recovered. */
export interface RecoveredState {
  readonly fs: SimFileSystem
  /** What the recovery did to the medium. */
  readonly events: readonly MediumEvent[]
}

/** Recovers a state with the shipped code and checks it; then once more, which must give the same. Throws `Violation`. */
export async function checkState(state: CrashState, seed: number): Promise<RecoveredState> {
  const events: MediumEvent[] = []
  const { left } = state
  const isKill = left instanceof Medium
  const wallMs = (): number => state.recording.endedMs
  const onEvent = (event: MediumEvent): void => {
    events.push(event)
  }
  const fs = new SimFileSystem(isKill ? { medium: left, onEvent, wallMs } : { image: left, onEvent, wallMs })
  const crash: Crash = isKill && state.wasPowerLoss !== true ? 'processKill' : 'powerLoss'
  const first = await recover(fs, state, crash, seed)
  const recovered = { fs, events: [...events] }
  // Every other time the power goes right after the recovery, so that only what it made durable counts.
  const isKept = !isKill && seed % 2 === 0
  const again = isKept ? fs : new SimFileSystem({ image: fs.medium.crashed(() => false) })
  const second = await recover(again, state, 'powerLoss', seed + 1, seed % 3 === 0)
  // What a process left of a relaxed log the power may still take.
  if (!isKill && second !== first) throw new Violation(`recovered once: ${first}; recovered again: ${second}`)
  return recovered
}

async function recover(
  fs: SimFileSystem,
  state: CrashState,
  crash: Crash,
  seed: number,
  goesOn = false,
): Promise<string> {
  const { logs } = state.recording
  const process = processOver(fs, state, seed)
  try {
    const directory = await process.settle(process.open())
    const { disk } = process.runtime
    const digest = await process.settle(checkRecovered(disk, directory, logs, state.moment, crash))
    if (goesOn) await checkAfterwards(process, logs, (next) => processOver(next, state, seed))
    return digest
  } finally {
    process.kill()
  }
}

function processOver(fs: SimFileSystem, state: CrashState, seed: number): SimProcess {
  const { workload, logs, endedMs } = state.recording
  return new SimProcess({
    fs,
    clock: new SimClock(endedMs),
    seed,
    segmentBytes: workload.segmentBytes,
    policyOf: (topic) => policyAt(logs, topic),
  })
}

function policyAt(logs: readonly LogHistory[], topic: string): LogHistory['policy'] {
  return logs.findLast((log) => log.topic === topic)?.policy ?? 'batch'
}
