import { afterEach, expect, test } from 'vitest'
import { type CoverageMark, countReached, coverageMarks } from '../../src/model/reached.ts'
import { type PlantedRaftBug, plant } from '../../src/raft/planted.ts'
import { Violation } from '../../src/testing/checkFacts.ts'
import { simulate } from '../raft/support/simulate.ts'
import { watchCore } from './support/watchCore.ts'

const first = Number(process.env.CORDWOOD_SEED ?? 1)

afterEach(() => plant(null))

test('the checks accept whatever the core does under faults, and come through rare branches', () => {
  let looked = 0
  const counts = new Map<CoverageMark, number>()
  countReached(counts)
  for (let seed = first; seed < first + 300; seed++) {
    simulate(seed, 600, (world) => {
      const checks = watchCore(world)
      world.after(10_000, () => {
        looked += checks.checks
      })
    })
  }
  countReached(null)
  expect(looked).toBeGreaterThan(30_000)
  // What only disks can do is not of the core; the rarest ones are missed by some seeds.
  const ofDisks = ['stoppedOverBudget', 'lostOverBudget', 'lieNoticed', 'unreadableNoted', 'unreadableMended']
  const missed = coverageMarks.filter((mark) => !counts.has(mark) && !ofDisks.includes(mark))
  expect(missed.length).toBeLessThan(4)
})

/** Mistakes that show within a few seeds, and the invariant that each of them breaks first. */
const broken: Readonly<Partial<Record<PlantedRaftBug, readonly [id: string, mostSeeds: number]>>> = {
  voteAnsweredBeforePersist: ['I9', 400],
  voteTwice: ['I9', 100],
  epochNotPersisted: ['I9', 100],
  voteForShorterLog: ['I3', 100],
  halfIsMajority: ['I16', 50],
  leaderReturnsAsLeader: ['I1', 50],
  claimUnflushed: ['I8', 50],
  leaderCountsUnflushed: ['I8', 200],
  skipLastFetchedEpoch: ['I4', 300],
  epochStartsReplaced: ['I5', 200],
  quarantinedCounts: ['I16', 100],
  quarantineEndsEarly: ['I16', 100],
  twoVoterChanges: ['I17', 600],
  readWithoutRound: ['I23', 600],
}

test.each(Object.entries(broken))('the checks see %s', (bug, [id, mostSeeds]) => {
  const found = new Set<string>()
  for (let seed = 1; seed <= mostSeeds && !found.has(id); seed++) {
    plant(bug as PlantedRaftBug)
    try {
      simulate(seed, 600, (world) => void watchCore(world))
    } catch (error) {
      const { cause } = error as Error
      if (cause instanceof Violation) found.add(cause.id)
    } finally {
      plant(null)
    }
  }
  expect([...found]).toContain(id)
})
