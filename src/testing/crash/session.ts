import { SimRandom } from '../simRandom.ts'
import { type Damage, damages, filesOf, problemsOf, recordForDamage } from './damage.ts'
import { type CallFailure, checkFailure, chooseFailures, countCalls } from './errorReturns.ts'
import { type CrashPoint, type ExploreLimits, exploreWorkload, replayCrash } from './explore.ts'
import { exploreJournal, type JournalPoint, replayJournal } from './journalRun.ts'
import { describeError } from './oracle.ts'
import { type Workload, workloadAt } from './workload.ts'

/** Everything that makes one failure again. */
export type Reproduction =
  | { readonly kind: 'crash'; readonly point: CrashPoint }
  | { readonly kind: 'error'; readonly workload: Workload; readonly failure: CallFailure }
  | {
      readonly kind: 'damage'
      readonly workload: Workload
      readonly isClosed: boolean
      readonly damage: Damage
    }
  | { readonly kind: 'journal'; readonly point: JournalPoint }

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

/** Failing calls that are tried of one workload, and damaged files. */
const failuresPerJob = 40
const damagesPerJob = 60

/**
 * Job number `index` of the run with this seed: crashes of a workload; of every eight jobs one has failing calls, one
 * damaged files, and one the journal alone.
 */
export async function runJob(seed: number, index: number, limits: ExploreLimits): Promise<JobOutcome> {
  const workload = workloadAt(seed, index)
  if (index % 8 === 7) return failCalls(workload, limits)
  if (index % 8 === 5) return damageFiles(workload, limits)
  if (index % 8 === 2) return crashJournal(seed * 1_000_003 + index, limits)
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

async function crashJournal(seed: number, limits: ExploreLimits): Promise<JobOutcome> {
  const { states, failures } = await exploreJournal(seed, limits)
  return {
    states,
    secondLevel: 0,
    errorRuns: 0,
    failures: failures.map(({ point, message }) => ({ reproduction: { kind: 'journal', point }, message })),
  }
}

async function damageFiles(workload: Workload, limits: ExploreLimits): Promise<JobOutcome> {
  const random = new SimRandom(workload.seed)
  const isClosed = random.chance(0.5)
  const recording = await recordForDamage(workload, isClosed)
  const files = filesOf(recording)
  const failures: Failure[] = []
  let states = 0
  for (; states < damagesPerJob && failures.length < limits.failuresPerWorkload; states++) {
    const path = random.pick(files)
    const what = random.pick(Object.keys(damages))
    const seed = random.next()
    const isKafkas = isClosed && path.endsWith('.log') && what.startsWith('flipped') && random.chance(0.5)
    const damage: Damage = { path, what, seed, ...(isKafkas ? { isKafkas } : {}) }
    const [message] = await problemsOf(recording, isClosed, damage)
    if (message === undefined) continue
    failures.push({ reproduction: { kind: 'damage', workload, isClosed, damage }, message })
  }
  return { states, secondLevel: 0, errorRuns: 0, failures }
}

/** Makes a failure again, alone; null when every promise is kept. */
export async function replay(reproduction: Reproduction): Promise<string | null> {
  if (reproduction.kind === 'crash') return replayCrash(reproduction.point)
  if (reproduction.kind === 'journal') return replayJournal(reproduction.point)
  if (reproduction.kind === 'damage') {
    const recording = await recordForDamage(reproduction.workload, reproduction.isClosed)
    return (await problemsOf(recording, reproduction.isClosed, reproduction.damage))[0] ?? null
  }
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
  for (let at = 0; at < (workloadOf(smallest)?.steps.length ?? 0); ) {
    const shorter = await withoutStep(smallest, at, limits)
    if (shorter === null) at++
    else smallest = shorter
  }
  return smallest
}

function workloadOf({ reproduction }: Failure): Workload | null {
  if (reproduction.kind === 'journal') return null
  return reproduction.kind === 'crash' ? reproduction.point.workload : reproduction.workload
}

async function withoutStep(failure: Failure, at: number, limits: ExploreLimits): Promise<Failure | null> {
  const workload = workloadOf(failure)!
  const shorter = { ...workload, steps: workload.steps.toSpliced(at, 1) }
  const once = { ...limits, failuresPerWorkload: 1 }
  switch (failure.reproduction.kind) {
    case 'error':
      return (await failCalls(shorter, once)).failures[0] ?? null
    case 'damage':
      return (await damageFiles(shorter, once)).failures[0] ?? null
    default: {
      const [found] = (await exploreWorkload(shorter, once)).failures
      return found ? { reproduction: { kind: 'crash', point: found.point }, message: found.message } : null
    }
  }
}

/** A reproduction as one word for a command line. */
export function encodeReproduction(reproduction: Reproduction): string {
  return Buffer.from(JSON.stringify(reproduction)).toString('base64url')
}

/** The reproduction that a word stands for. */
export function decodeReproduction(word: string): Reproduction {
  return JSON.parse(Buffer.from(word, 'base64url').toString()) as Reproduction
}
