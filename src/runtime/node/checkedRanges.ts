/** A stretch of a file: bytes from its start, `end` exclusive. */
interface Run {
  start: number
  end: number
}

/**
 * Which stretches of files have been written or checked lately. Node does not tell what the system still has in
 * memory, so what was used least is forgotten beyond a number of bytes, and checked again.
 */
export class CheckedRanges {
  readonly #limitBytes: number
  /** Ascending and apart from each other; the file that was used last comes last. */
  readonly #files = new Map<string, Run[]>()
  #bytes = 0

  constructor(limitBytes: number = 64 << 20) {
    this.#limitBytes = limitBytes
  }

  /** Whether all of it counts as checked. */
  covers(path: string, start: number, end: number): boolean {
    const runs = this.#files.get(path)
    if (runs === undefined || !runs.some((run) => run.start <= start && run.end >= end)) return false
    this.#files.delete(path)
    this.#files.set(path, runs)
    return true
  }

  /** It has been checked, or written. */
  add(path: string, start: number, end: number): void {
    if (end <= start) return
    const runs = this.#files.get(path) ?? []
    this.forget(path)
    const apart = runs.filter((run) => run.end < start || run.start > end)
    const joined = runs.filter((run) => run.end >= start && run.start <= end)
    apart.push({
      start: Math.min(start, ...joined.map((run) => run.start)),
      end: Math.max(end, ...joined.map((run) => run.end)),
    })
    this.#put(path, apart)
    this.#shrink()
  }

  /** The file was cut. */
  cut(path: string, size: number): void {
    const runs = this.#files.get(path)
    if (runs === undefined) return
    this.forget(path)
    const kept = runs.filter(({ start }) => start < size)
    this.#put(
      path,
      kept.map(({ start, end }) => ({ start, end: Math.min(end, size) })),
    )
  }

  /** Nothing of the file counts as checked. */
  forget(path: string): void {
    for (const { start, end } of this.#files.get(path) ?? []) this.#bytes -= end - start
    this.#files.delete(path)
  }

  #put(path: string, runs: Run[]): void {
    for (const { start, end } of runs) this.#bytes += end - start
    this.#files.set(
      path,
      runs.sort((left, right) => left.start - right.start),
    )
  }

  /** Forgets the lowest stretches of the file that was used least. */
  #shrink(): void {
    for (const [path, runs] of this.#files) {
      while (runs.length > 0 && this.#bytes > this.#limitBytes) {
        const [first] = runs
        const drop = Math.min(this.#bytes - this.#limitBytes, first!.end - first!.start)
        first!.start += drop
        this.#bytes -= drop
        if (first!.start === first!.end) runs.shift()
      }
      if (runs.length > 0) return
      this.#files.delete(path)
    }
  }
}
