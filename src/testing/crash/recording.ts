import type { Image, MediumEvent } from '../medium.ts'
import type { DiskFaults } from '../systemCalls.ts'
import type { LogHistory } from './history.ts'
import { Recorder } from './recorder.ts'
import type { Workload } from './workload.ts'

/** What happened between the engine and the medium, and what those who use the engine know. */
export interface Recording {
  readonly workload: Workload
  readonly initial: Image
  readonly events: readonly MediumEvent[]
  readonly logs: readonly LogHistory[]
  /** What the page cache held at the end, and what the last process said. */
  readonly finalImage: Image
  readonly endedMs: number
}

/** What may be done to a recording while it is made. */
export interface RecordingOptions {
  /** Faults of the processes that run the steps. */
  readonly faults?: DiskFaults
  /** Called before anything runs. */
  readonly begins?: (recorder: Recorder) => void
  /** Called before the processes that had faults end: with the engine as it is then. */
  readonly atEnd?: (recorder: Recorder) => Promise<void>
}

/** Runs a workload against a simulated disk and writes down what happens. */
export async function record(workload: Workload, options: RecordingOptions = {}): Promise<Recording> {
  const recorder = new Recorder(workload, options.faults)
  options.begins?.(recorder)
  await recorder.run()
  await options.atEnd?.(recorder)
  return recorder.end()
}
