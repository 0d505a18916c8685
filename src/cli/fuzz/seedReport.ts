import type { CoverageMark } from '../../model/reached.ts'
import { countReached } from '../../model/reached.ts'
import type { RunFailure } from '../../testing/clusterRun.ts'
import { runSeed, type SeedOptions } from './runSeed.ts'

/** What one seed came to, as plain data. */
export interface SeedReport {
  readonly seed: number
  readonly nodes: number
  readonly events: number
  readonly simulatedMs: number
  readonly faults: Readonly<Record<string, number>>
  readonly acked: number
  readonly unknown: number
  /** Effects of replicas that the invariants were checked on. */
  readonly looked: number
  readonly traceHash: string
  readonly marks: Readonly<Record<string, number>>
  readonly failure: RunFailure | null
}

/** One seed in a hundred runs twice: its trace has to be the same. */
const twiceEvery = 100

/** Runs one seed. */
export async function reportSeed(options: SeedOptions): Promise<SeedReport> {
  const marks = new Map<CoverageMark, number>()
  countReached(marks)
  try {
    const result = await runSeed(options)
    let { failure } = result
    if (failure === null && options.seed % twiceEvery === 0) {
      const { traceHash } = await runSeed(options)
      if (traceHash !== result.traceHash) {
        const message = `the trace of the second run is ${traceHash}, that of the first one ${result.traceHash}`
        failure = { id: 'determinism', message, stack: '', event: result.events, atMs: result.simulatedMs }
      }
    }
    return {
      seed: result.seed,
      nodes: result.shape.nodes,
      events: result.events,
      simulatedMs: result.simulatedMs,
      faults: Object.fromEntries(result.faultCounts),
      acked: result.acked,
      unknown: result.unknown,
      looked: result.looked,
      traceHash: result.traceHash,
      marks: Object.fromEntries(marks),
      failure,
    }
  } finally {
    countReached(null)
  }
}
