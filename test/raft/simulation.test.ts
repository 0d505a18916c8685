import { describe, expect, test } from 'vitest'
import { type RunReport, simulate } from './support/simulate.ts'

/** Seeds once found to break something, with what they found; they run first, forever. */
const found: Readonly<Record<number, string>> = {
  3: 'a replica that could not win kept the other from standing, by raising the epoch again and again',
  266: 'answers that came late did not confirm a start, so that nobody had enough votes',
  4534: 'an observer that had been made a voter had nobody to have its start recorded by',
  30455: 'a disk that went back was started twice before anybody answered, and passed for a later one',
  8795: 'a leader that was being removed had the only log that all could follow, and did not stand',
}

const events = 600
const first = Number(process.env.CORDWOOD_SEED ?? 1)

describe('the Raft core under faults', () => {
  test.each(Object.entries(found))('seed %s: %s', (seed) => {
    expect(simulate(Number(seed), events).steps).toBeGreaterThan(0)
  })

  test('keeps its invariants after every event, and goes on once faults stop, over 2,000 seeds', () => {
    const total = { steps: 0, committed: 0, elections: 0, reads: 0, simulatedMs: 0 }
    const actions: Record<string, number> = {}
    for (let seed = first; seed < first + 2000; seed++) {
      const report = simulate(seed, events)
      for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += report[key]
      for (const [name, count] of Object.entries(report.actions)) actions[name] = (actions[name] ?? 0) + count
    }
    expect(total.steps).toBeGreaterThan(500_000)
    expect(total.committed).toBeGreaterThan(10_000)
    expect(total.elections).toBeGreaterThan(3_000)
    expect(total.reads).toBeGreaterThan(500)
    // Every class of faults has had its turn.
    expect(Object.keys(actions).sort()).toEqual([
      'append',
      'crash',
      'crashAfterVote',
      'crashAll',
      'handover',
      'heal',
      'kill',
      'logFailed',
      'partition',
      'pause',
      'read',
      'replaceDisk',
      'restart',
      'rollBack',
      'rolledBack',
      'shutdown',
      'snapshot',
      'storm',
      'transfer',
      'voters',
    ])
  }, 180_000)

  test('gives the same trace for the same seed', () => {
    const hashes = (): readonly number[] =>
      [11, 12, 13, 14, 15].map((seed): RunReport['hash'] => simulate(seed, events).hash)
    expect(hashes()).toEqual(hashes())
    expect(new Set(hashes()).size).toBe(5)
  })
})
