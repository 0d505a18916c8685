import { EngineError } from '../model/errors.ts'
import type { Decision, Outcome } from './commands.ts'

/**
 * Decides about each of `items` on its own: an `EngineError` that `decideOne` throws becomes that item's
 * outcome, and its records are left out; the records of the others are one change.
 */
export function decideEach<Item, T>(
  items: readonly Item[],
  decideOne: (item: Item, index: number) => Decision<T>,
): Decision<readonly Outcome<T>[]> {
  const records: Decision<T>['records'][number][] = []
  const result = items.map((item, index): Outcome<T> => {
    try {
      const decision = decideOne(item, index)
      for (const record of decision.records) records.push(record)
      return decision.result
    } catch (cause) {
      if (cause instanceof EngineError) return cause
      throw cause
    }
  })
  return { records, result }
}

/** The keys that occur more than once. */
export function duplicates(keys: readonly string[]): ReadonlySet<string> {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const key of keys) {
    if (seen.has(key)) twice.add(key)
    seen.add(key)
  }
  return twice
}
