/** What a run came to when it failed: which promise was broken. */
export interface RunFailure {
  readonly id: string
  readonly message: string
}

/** The smallest run that still breaks the same promise. */
export interface Shrunk<F> {
  readonly failure: F
  /** Numbers of the faults that are needed, in order. */
  readonly faults: readonly number[]
  /** Numbers of the operations that are needed, in order. */
  readonly operations: readonly number[]
  /** How many runs it took. */
  readonly runs: number
}

/** What is left out of a run. */
export interface Skipped {
  readonly faults: ReadonlySet<number>
  readonly operations: ReadonlySet<number>
}

/** What a failing run was made of, and how to run it again without some of it. Runs are pure functions. */
export interface ShrinkTask<F extends RunFailure> {
  readonly faults: readonly number[]
  readonly operations: readonly number[]
  /** The failure of a run without these; null when it passes. */
  run(skipped: Skipped): Promise<F | null>
  /** Most runs; 200 by default. */
  readonly mostRuns?: number
}

/**
 * Takes faults away by halves, then by quarters and so on down to one at a time, and then operations, as long as the run
 * still breaks the promise of `failure`. Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input".
 */
export async function shrink<F extends RunFailure>(task: ShrinkTask<F>, failure: F): Promise<Shrunk<F>> {
  const mostRuns = task.mostRuns ?? 200
  let smallest = failure
  let runs = 0
  let faults = task.faults
  let operations = task.operations
  const stillFails = async (kept: readonly number[], done: readonly number[]): Promise<boolean> => {
    if (runs >= mostRuns) return false
    runs++
    const found = await task.run({
      faults: without(task.faults, kept),
      operations: without(task.operations, done),
    })
    if (found === null || found.id !== failure.id) return false
    smallest = found
    return true
  }
  faults = await minimise(faults, (kept) => stillFails(kept, operations))
  operations = await minimise(operations, (done) => stillFails(faults, done))
  // Without operations, faults that only mattered to them may go.
  faults = await minimise(faults, (kept) => stillFails(kept, operations))
  return { failure: smallest, faults, operations, runs }
}

function without(all: readonly number[], kept: readonly number[]): ReadonlySet<number> {
  const skipped = new Set(all)
  for (const number of kept) skipped.delete(number)
  return skipped
}

async function minimise(
  items: readonly number[],
  stillFails: (kept: readonly number[]) => Promise<boolean>,
): Promise<readonly number[]> {
  if (items.length === 0 || (await stillFails([]))) return []
  let kept = items
  for (let size = Math.ceil(kept.length / 2); kept.length > 1; ) {
    let isSmaller = false
    for (let from = 0; from < kept.length; ) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)]
      if (rest.length > 0 && rest.length < kept.length && (await stillFails(rest))) {
        kept = rest
        isSmaller = true
      } else from += size
    }
    if (size === 1 && !isSmaller) break
    if (size > 1) size = Math.ceil(size / 2)
  }
  return kept
}
