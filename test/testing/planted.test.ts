import { describe, expect, test } from 'vitest'
import { plantedReplicaBugs } from '../../src/model/planted.ts'
import { plantedRaftBugs } from '../../src/raft/planted.ts'
import { runCluster } from '../../src/testing/clusterRun.ts'
import { findPlanted, plantedRun, worldBugs } from '../../src/testing/plantedRuns.ts'

/** Mistakes that the first few worlds come across, one of each kind; `npm run planted` tries all. */
const quick = [
  'halfIsMajority',
  'claimUnflushed',
  'leaderCountsUnflushed',
  'epochStartNotStored',
  'ackBeforeCommit',
]

const bugNamed = (name: string) => worldBugs.find((bug) => bug.name === name)!

describe('simulated clusters find', () => {
  test.each(quick)(
    '%s',
    async (name) => {
      let runs = 0
      const found = await findPlanted(bugNamed(name), 1, () => runs++ >= 12)
      expect(found?.failure.id).toMatch(/^((I|L)\d+|error)$/)
    },
    120_000,
  )
})

describe('the list of planted mistakes', () => {
  test('holds at least forty, each once, of the core and of what runs it', () => {
    const names = worldBugs.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(names.length).toBeGreaterThanOrEqual(40)
    for (const name of plantedReplicaBugs) expect(names).toContain(name)
    expect(
      names.filter((name) => (plantedRaftBugs as readonly string[]).includes(name)).length,
    ).toBeGreaterThan(25)
  })

  test('is turned off again after a run', async () => {
    const bug = bugNamed('halfIsMajority')
    bug.plant(true)
    bug.plant(false)
    const { failure } = await runCluster({ ...plantedRun(bug, 1), durationMs: 1000, faultCount: [0, 0] })
    expect(failure).toBeNull()
  })
})
