import { Doubts } from './doubts.ts'
import type { ReplayFrame } from './journal/journalReplay.ts'
import { doubtKind } from './ownStates.ts'
import type { ReplayPlan } from './replayPlan.ts'

/** Offsets from `from` up to `to`, exclusive. */
type Offsets = readonly [from: number, to: number]

/** What the journal has of a log, and what it says that the log must have, as plain data. */
export interface JournalHold {
  /** What the next start writes into the segments again. Ascending; no two of them touch. */
  readonly held: readonly Offsets[]
  /** Exclusive end of what the log must have; null when nobody can tell. */
  readonly provenEnd: number | null
  /** The journal has lost what was durable, and nobody has seen yet that the log has all its records. */
  readonly isDoubtful: boolean
}

/** Of a log that the journal does not know, or that somebody is writing to. */
export const noHold: JournalHold = { held: [], provenEnd: null, isDoubtful: false }

/** What is to be thought of records that are not in a segment. */
export interface Absence {
  /** `lost`: the log must have them, or nobody can tell; `held`: the next start takes them from the journal; `open`: neither. */
  readonly state: 'lost' | 'held' | 'open'
  /** The first and the end of those that are lost, or held. */
  readonly baseOffset: number
  readonly nextOffset: number
}

/** Exclusive end of what is in the journal or must be in the log. */
export function holdEnd({ held, provenEnd }: JournalHold): number {
  return Math.max(provenEnd ?? 0, held.at(-1)?.[1] ?? 0)
}

/** What becomes of the records from `baseOffset` up to `nextOffset`, which are the same where nobody knows how many there were. */
export function absenceOf(hold: JournalHold, baseOffset: number, nextOffset: number): Absence {
  const holes = holesIn(hold.held, baseOffset, nextOffset)
  const proven = holes.filter(([from]) => from < (hold.provenEnd ?? 0))
  const isUnknown = hold.isDoubtful && (holes.length > 0 || nextOffset === baseOffset)
  const lost = proven.length > 0 || !isUnknown ? proven : holes
  if (lost.length > 0) return { state: 'lost', baseOffset: lost[0]![0], nextOffset: lost.at(-1)![1] }
  if (isUnknown) return { state: 'lost', baseOffset, nextOffset }
  const [, heldEnd] = hold.held.find(([from, to]) => from <= baseOffset && baseOffset < to) ?? []
  if (heldEnd === undefined) return { state: 'open', baseOffset, nextOffset }
  return {
    state: 'held',
    baseOffset,
    nextOffset: nextOffset === baseOffset ? heldEnd : Math.min(heldEnd, nextOffset),
  }
}

/** The parts of a range that none of `held` has. */
function holesIn(held: readonly Offsets[], baseOffset: number, nextOffset: number): Offsets[] {
  const holes: Offsets[] = []
  let at = baseOffset
  for (const [from, to] of held) {
    if (from >= nextOffset) break
    if (from > at) holes.push([at, from])
    at = Math.max(at, to)
  }
  if (at < nextOffset) holes.push([at, nextOffset])
  return holes
}

/** What the journal has of each log of `plan`, by name. `earlier` are the checkpoint's doubts, `found` those of this reading. */
export async function holdsOf(
  plan: ReplayPlan,
  frames: AsyncIterable<ReplayFrame>,
  found: number,
  earlier: number,
): Promise<Map<string, JournalHold>> {
  const held = new Map<string, [number, number][]>()
  let ordinal = 0
  for await (const { entries } of frames) {
    for (const entry of entries) {
      const log = entry.type === 'append' ? plan.logs.get(entry.logId) : undefined
      if (entry.type === 'append' && log?.isLive(ordinal, entry.baseOffset, entry.lastOffset)) {
        const ranges = held.get(log.name) ?? []
        held.set(log.name, ranges)
        const last = ranges.at(-1)
        if (last?.[1] === entry.baseOffset) last[1] = entry.lastOffset + 1
        else ranges.push([entry.baseOffset, entry.lastOffset + 1])
      }
      ordinal++
    }
  }
  const holds = new Map<string, JournalHold>()
  for (const { name, provenEnd, states } of plan.logs.values()) {
    const doubts = new Doubts(found | (states.get(doubtKind)?.[0] ?? earlier), () => Promise.resolve())
    const ranges = held.get(name) ?? []
    ranges.sort(([left], [right]) => left - right)
    holds.set(name, { held: ranges, provenEnd, isDoubtful: doubts.mayLackRecords })
  }
  return holds
}
