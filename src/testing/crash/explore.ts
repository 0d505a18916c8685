import { type Image, Medium } from '../medium.ts'
import { SimRandom } from '../simRandom.ts'
import { checkState } from './checkState.ts'
import { type ChoiceLimits, crashChoices, type Fates, fateOf, tornText } from './crashStates.ts'
import type { Moment } from './history.ts'
import { describeError } from './oracle.ts'
import { type Recording, record } from './recording.ts'
import type { Workload } from './workload.ts'

/** One crash of one workload: enough to make it again. */
export interface CrashPoint {
  readonly workload: Workload
  readonly moment: Moment
  readonly fates: Fates
  /** Draws how the state is checked: what comes after its recovery. */
  readonly check: number
  /** A second crash, during the recovery from the first. */
  readonly second?: { readonly moment: Moment; readonly fates: Fates }
}

/** A state that broke a promise. */
export interface CrashFailure {
  readonly point: CrashPoint
  readonly message: string
}

/** What the exploration of one workload came to. */
export interface WorkloadOutcome {
  readonly states: number
  /** Of the states: crashes during a recovery. */
  readonly secondLevel: number
  readonly failures: readonly CrashFailure[]
}

/** How much of a workload is tried. */
export interface ExploreLimits extends ChoiceLimits {
  /** States of one workload. */
  readonly statesPerWorkload: number
  /** After so many failures of one workload the rest of it is left. */
  readonly failuresPerWorkload: number
  /** How many of the recoveries are cut short by a second crash: a probability. */
  readonly secondLevel: number
}

/** What `npm run crash` tries. */
export const defaultLimits: ExploreLimits = {
  most: 40,
  exhaustiveUnits: 4,
  statesPerWorkload: 250,
  failuresPerWorkload: 1,
  secondLevel: 0.05,
}

const noFates: Fates = { lost: [], torn: [] }

/** Records a workload, makes crash states of it and checks each. */
export async function exploreWorkload(workload: Workload, limits: ExploreLimits): Promise<WorkloadOutcome> {
  const failures: CrashFailure[] = []
  let recording: Recording
  try {
    recording = await record(workload)
  } catch (error) {
    const point = { workload, moment: -1, fates: noFates, check: 0 }
    return { states: 1, secondLevel: 0, failures: [{ point, message: describeError(error) }] }
  }
  let states = 0
  let secondLevel = 0
  const random = new SimRandom(workload.seed)
  for (const { moment, fates, medium } of chosenPoints(recording, random, limits)) {
    const left = leftBy(medium, fates)
    states++
    const check = workload.seed + states
    let point: CrashPoint = { workload, moment, fates, check }
    try {
      const state = { recording, moment, left }
      const { events } = await checkState(state, check)
      if (left instanceof Medium || !random.chance(limits.secondLevel)) continue
      const again = new Medium(left)
      const second = { moment: 1 + random.below(events.length + 1), fates: noFates }
      for (const event of events.slice(0, second.moment)) again.apply(event)
      const choices = crashChoices(again, workload.names, random, limits)
      point = { ...point, second: { ...second, fates: random.pick(choices) } }
      states++
      secondLevel++
      const { seed } = workload
      await checkState(
        { ...state, left: leftBy(again, point.second!.fates), wasPowerLoss: true },
        seed + states,
      )
    } catch (error) {
      failures.push({ point, message: describeError(error) })
      if (failures.length >= limits.failuresPerWorkload) break
    }
  }
  return { states, secondLevel, failures }
}

/** Makes one state again and checks it alone; null when it keeps every promise. */
export async function replayCrash(point: CrashPoint): Promise<string | null> {
  try {
    const recording = await record(point.workload)
    if (point.moment < 0) return null
    const medium = new Medium(recording.initial)
    for (const event of recording.events.slice(0, point.moment)) medium.apply(event)
    const left = leftBy(medium, point.fates)
    const state = { recording, moment: point.moment, left }
    const { events } = await checkState(state, point.check)
    if (point.second === undefined || left instanceof Medium) return null
    const again = new Medium(left)
    for (const event of events.slice(0, point.second.moment)) again.apply(event)
    await checkState({ ...state, left: leftBy(again, point.second.fates) }, point.check + 1)
    return null
  } catch (error) {
    return describeError(error)
  }
}

function leftBy(medium: Medium, fates: Fates): Image | Medium {
  return fates.kill === true ? medium.clone() : medium.crashed(fateOf(fates))
}

interface ChosenPoint {
  readonly moment: Moment
  readonly fates: Fates
  /** As it is at the moment; the next point moves it on. */
  readonly medium: Medium
}

/** Crash points in the order of time, and what a crash at each leaves, up to the limits, evenly spread. */
function* chosenPoints(
  recording: Recording,
  random: SimRandom,
  limits: ExploreLimits,
): Generator<ChosenPoint> {
  const { events, initial, workload } = recording
  const medium = new Medium(initial)
  const perMoment = Math.max(3, Math.ceil((limits.statesPerWorkload / Math.max(1, events.length)) * 1.5))
  // A long recording is not tried everywhere: another one tells more than all of this one.
  const visited = Math.min(1, limits.statesPerWorkload / (perMoment * events.length))
  const seen = new Set<string>()
  for (let moment = 0; ; moment++) {
    // At the end everything is promised that ever is.
    const isVisited = random.chance(visited) || moment === events.length
    const choices = isVisited ? crashChoices(medium, workload.names, random, limits) : []
    while (choices.length > perMoment) choices.splice(random.below(choices.length), 1)
    for (const fates of choices) {
      const key = stateKey(recording, medium, moment, fates)
      if (seen.has(key)) continue
      seen.add(key)
      yield { moment, fates, medium }
    }
    const event = events[moment]
    if (event === undefined) return
    medium.apply(event)
  }
}

/** Equal for states that have the same bytes and the same promises. */
function stateKey(recording: Recording, medium: Medium, moment: Moment, fates: Fates): string {
  let promises = 0
  for (const { versions } of recording.logs) {
    for (const { batches } of versions) for (const { ackedAt } of batches) if (ackedAt <= moment) promises++
  }
  const lost = new Set(fates.lost)
  const kept = medium.pending.filter(({ order }) => !lost.has(order)).map(({ order }) => order)
  return `${medium.syncs} ${promises} ${kept.join()} ${tornText(fates.torn)} ${fates.kill}`
}
