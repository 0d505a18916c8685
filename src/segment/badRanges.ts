import { CorruptionError } from '../model/errors.ts'
import type { Damage } from './batchScan.ts'

/** A stretch of a segment file that is not what was written. It begins where a batch must begin. */
export interface BadRange extends Damage {
  readonly file: string
  /** Exclusive end, in bytes from the start of the file: the next good batch, or the end of the file. */
  readonly end: number
  /** First offset that cannot be read. */
  readonly baseOffset: number
  /** First offset after it that can be, as far as anybody can tell. */
  readonly nextOffset: number
  /** The disk does not give what is there, or some of it. */
  readonly isUnreadable?: boolean
}

/** Whether the place of `range` is that of one of `ranges`. */
export function isAmong(ranges: readonly BadRange[], range: BadRange): boolean {
  return ranges.some(
    ({ file, position, end }) => file === range.file && position === range.position && end === range.end,
  )
}

/**
 * What is known to be damaged in the files of a data directory, and is never served again. Filled by whoever checks
 * stored bytes (scrubber, cold reads), asked by every read.
 */
export class BadRanges {
  /** Called once for each range that was not known. */
  onFound: ((range: BadRange) => void) | null = null
  /** Called whenever the disk has not read what it was to read of a file: it may be damaged, or the disk have a bad moment. */
  onUnreadable: ((file: string) => void) | null = null
  readonly #byFile = new Map<string, BadRange[]>()

  /** Whether nothing is known to be damaged, as it should be. */
  get isEmpty(): boolean {
    return this.#byFile.size === 0
  }

  /** All of them, by file in the order they were found, ascending in each. */
  all(): BadRange[] {
    return [...this.#byFile.values()].flat()
  }

  /** Takes a range, joined with those that it overlaps. False when nothing of it is new: then nobody is told. */
  add(range: BadRange): boolean {
    const known = this.#byFile.get(range.file) ?? []
    const isNew = range.isUnreadable === true
    const holds = ({ position, end, isUnreadable }: BadRange): boolean =>
      position <= range.position && end >= range.end && (isUnreadable === true || !isNew)
    if (known.some(holds)) return false
    const touching = known.filter(({ position, end }) => position < range.end && end > range.position)
    const joined = touching.reduce(join, range)
    const others = known.filter((each) => !touching.includes(each))
    this.#byFile.set(
      range.file,
      [...others, joined].sort((left, right) => left.position - right.position),
    )
    this.onFound?.(range)
    return true
  }

  /** The first damage between `position` and `end` (exclusive) of a file; null for none. */
  firstIn(file: string, position: number, end: number): BadRange | null {
    const known = this.#byFile.get(file)
    return known?.find((range) => range.position < end && range.end > position) ?? null
  }

  /** The first damage between `position` and `end` (exclusive) of a file that the disk does not give; null for none. */
  unreadableIn(file: string, position: number, end: number): BadRange | null {
    const known = this.#byFile.get(file)
    const isHit = (range: BadRange): boolean => range.position < end && range.end > position
    return known?.find((range) => range.isUnreadable === true && isHit(range)) ?? null
  }

  /**
   * Where a read that begins with a good batch at `position` has to stop before damage: `end` if there is none.
   * Throws `CorruptionError` when the read begins inside damage.
   */
  readableEnd(file: string, position: number, end: number): number {
    if (this.#byFile.size === 0) return end
    const bad = this.firstIn(file, position, end)
    if (bad === null) return end
    if (bad.position <= position) throw corruptionOf(bad)
    return bad.position
  }

  /** What the file holds from `position` to `end` (exclusive) is what was written again; `nextOffset` is the first offset after it. */
  mended(file: string, position: number, end: number, nextOffset: number): void {
    const kept = (this.#byFile.get(file) ?? []).flatMap((range): BadRange[] => {
      const isInside = range.position >= position && range.end <= end
      if (isInside) return []
      if (range.end <= position || range.position >= end) return [range]
      const left = { ...range, end: position, nextOffset: range.baseOffset }
      const right = { ...range, position: end, baseOffset: nextOffset }
      return [...(range.position < position ? [left] : []), ...(range.end > end ? [right] : [])]
    })
    if (kept.length > 0) this.#byFile.set(file, kept)
    else this.#byFile.delete(file)
  }

  /** Everything in `directory` is gone, or another log's. */
  forgetIn(directory: string): void {
    for (const file of this.#byFile.keys()) if (file.startsWith(`${directory}/`)) this.#byFile.delete(file)
  }

  /** What the file held from `position` on was replaced, cut or removed. */
  forget(file: string, position = 0): void {
    const kept = this.#byFile.get(file)?.filter((range) => range.position < position) ?? []
    if (kept.length > 0) this.#byFile.set(file, kept)
    else this.#byFile.delete(file)
  }
}

/** The error that a reader of `range` gets. */
export function corruptionOf({ file, position, expected, found }: BadRange): CorruptionError {
  return new CorruptionError({ file, position, expected, found })
}

function join(left: BadRange, right: BadRange): BadRange {
  const first = left.position <= right.position ? left : right
  return {
    ...first,
    end: Math.max(left.end, right.end),
    baseOffset: Math.min(left.baseOffset, right.baseOffset),
    nextOffset: Math.max(left.nextOffset, right.nextOffset),
    ...(left.isUnreadable === true || right.isUnreadable === true ? { isUnreadable: true } : {}),
  }
}
