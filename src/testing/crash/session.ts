import { SimRandom } from '../simRandom.ts'
import { type CallFailure, checkFailure, chooseFailures, countCalls } from './errorReturns.ts'
import { type CrashPoint, type ExploreLimits, exploreWorkload, replayCrash } from './explore.ts'
import { describeError } from './oracle.ts'
import { type Workload, workloadAt } from './workload.ts'

/** Everything that makes one failure again. */
export type Reproduction =
  | { readonly kind: 'crash'; readonly point: CrashPoint }
  | { readonly kind: 'error'; readonly workload: Workload; readonly failure: CallFailure }

/** A promise that was not kept. */
export interface Failure {
  readonly reproduction: Reproduction
  readonly message: string
}

/** What one job came to. */
export interface JobOutcome {
  /** States that were recovered and checked; of those `secondLevel` are crashes during a recovery. */
  readonly states: number
  readonly secondLevel: number
  /** Runs in which a call failed. */
  readonly errorRuns: number
  readonly failures: readonly Failure[]
}

/** Failing calls that are tried of one workload. */
const failuresPerJob = 40

/** Job number `index` of the run with this seed: crashes of a workload, or, every eighth, failing calls of one. */
export async function runJob(seed: number, index: number, limits: ExploreLimits): Promise<JobOutcome> {
  const workload = workloadAt(seed, index)
  if (index % 8 === 7) return failCalls(workload, limits)
  const { states, secondLevel, failures } = await exploreWorkload(workload, limits)
  return {
    states,
    secondLevel,
    errorRuns: 0,
    failures: failures.map(({ point, message }) => ({ reproduction: { kind: 'crash', point }, message })),
  }
}

async function failCalls(workload: Workload, limits: ExploreLimits): Promise<JobOutcome> {
  const failures: Failure[] = []
  const counts = await countCalls(workload)
  const chosen = chooseFailures(counts, new SimRandom(workload.seed), failuresPerJob)
  let errorRuns = 0
  for (const failure of chosen) {
    errorRuns++
    try {
      await checkFailure(workload, failure)
    } catch (error) {
      failures.push({ reproduction: { kind: 'error', workload, failure }, message: describeError(error) })
      if (failures.length >= limits.failuresPerWorkload) break
    }
  }
  return { states: errorRuns * 2, secondLevel: 0, errorRuns, failures }
}

/** Makes a failure again, alone; null when every promise is kept. */
export async function replay(reproduction: Reproduction): Promise<string | null> {
  if (reproduction.kind === 'crash') return replayCrash(reproduction.point)
  try {
    await checkFailure(reproduction.workload, reproduction.failure)
    return null
  } catch (error) {
    return describeError(error)
  }
}

/** The same failure with fewer steps, as far as leaving steps out keeps it alive. */
export async function shrink(failure: Failure, limits: ExploreLimits): Promise<Failure> {
  let smallest = failure
  for (let at = 0; at < stepsOf(smallest).length; ) {
    const shorter = await withoutStep(smallest, at, limits)
    if (shorter === null) at++
    else smallest = shorter
  }
  return smallest
}

function stepsOf({ reproduction }: Failure): Workload['steps'] {
  return reproduction.kind === 'crash' ? reproduction.point.workload.steps : reproduction.workload.steps
}

async function withoutStep(
  { reproduction }: Failure,
  at: number,
  limits: ExploreLimits,
): Promise<Failure | null> {
  const workload = reproduction.kind === 'crash' ? reproduction.point.workload : reproduction.workload
  const shorter = { ...workload, steps: workload.steps.toSpliced(at, 1) }
  if (reproduction.kind === 'error') {
    const { failures } = await failCalls(shorter, { ...limits, failuresPerWorkload: 1 })
    return failures[0] ?? null
  }
  const { failures } = await exploreWorkload(shorter, { ...limits, failuresPerWorkload: 1 })
  const found = failures[0]
  return found ? { reproduction: { kind: 'crash', point: found.point }, message: found.message } : null
}

/** A reproduction as one word for a command line. */
export function encodeReproduction(reproduction: Reproduction): string {
  return Buffer.from(JSON.stringify(reproduction)).toString('base64url')
}

/** The reproduction that a word stands for. */
export function decodeReproduction(word: string): Reproduction {
  return JSON.parse(Buffer.from(word, 'base64url').toString()) as Reproduction
}
