import { describe, expect, test } from 'vitest'
import { exploreWorkload } from '../../src/testing/crash/explore.ts'
import { exploreJournal } from '../../src/testing/crash/journalRun.ts'
import type { Step, Workload } from '../../src/testing/crash/workload.ts'

const limits = {
  most: 40,
  exhaustiveUnits: 4,
  statesPerWorkload: 250,
  failuresPerWorkload: 1,
  secondLevel: 0.2,
}

const append = (log: number, bytes: number, wait = true): Step => {
  return { do: 'append', log, bytes, producer: false, wait }
}

describe('whenever the power goes', () => {
  test.each<[string, Pick<Workload, 'policies' | 'steps'> & Partial<Workload>]>([
    [
      'a new data directory keeps its own name, and so the logs in it',
      { policies: ['batch'], steps: [append(0, 100)] },
    ],
    [
      'a log keeps the name of its directory before its own syncs are trusted',
      { policies: ['batch', 'append'], steps: [append(0, 100), append(1, 100)] },
    ],
    [
      'what was relaxed is kept from the moment that the policy is a durable one',
      {
        policies: ['none'],
        steps: [
          append(0, 1500),
          { do: 'policy', log: 0, policy: 'journal' },
          append(0, 100),
          append(0, 1500),
        ],
      },
    ],
    [
      'the loss of the first of several segments leaves an empty log and no hole',
      {
        policies: ['append', 'none'],
        steps: [{ do: 'recycle', log: 0 }, append(1, 1500, false), append(1, 1500, false)],
      },
    ],
    [
      'records of a relaxed log are durable before they are deleted, for its policy may be a durable one by then',
      {
        policies: ['none'],
        steps: [
          append(0, 100),
          { do: 'roll', log: 0, wait: true },
          { do: 'retention' },
          { do: 'policy', log: 0, policy: 'batch' },
        ],
      },
    ],
    [
      'a snapshot of producers does not vouch for a segment whose name is lost',
      { policies: ['none'], steps: [append(0, 300), { do: 'roll', log: 0, wait: true }, append(0, 10)] },
    ],
    [
      'a truncation that recovery has finished does not cut what is appended after it',
      {
        policies: ['append'],
        segmentBytes: 600,
        steps: [append(0, 300), { do: 'truncate', log: 0, at: 0 }, { do: 'roll', log: 0, wait: true }],
      },
    ],
  ])(
    '%s',
    async (_, { policies, steps, segmentBytes = 2000 }) => {
      for (const names of ['journalled', 'adversarial'] as const) {
        const workload: Workload = { seed: 17, policies, names, segmentBytes, steps }
        const { states, failures } = await exploreWorkload(workload, limits)
        expect(states).toBeGreaterThan(100)
        expect(failures).toEqual([])
      }
    },
    60_000,
  )

  test('a checkpoint that a killed process left in the page cache lets go of no file of the journal', async () => {
    for (const seed of [40, 48]) expect((await exploreJournal(seed, limits)).failures).toEqual([])
  }, 60_000)
})

test('a checkpoint during a truncation knows no producers of what was cut', async () => {
  const workload: Workload = {
    seed: 295084927,
    policies: [{ records: 2 }, { intervalMs: 50 }],
    names: 'adversarial',
    segmentBytes: 6000,
    steps: [
      { do: 'append', log: 0, bytes: 300, producer: true, wait: true },
      { do: 'append', log: 0, bytes: 100, producer: true, wait: false },
      { do: 'truncate', log: 0, at: 0.73 },
    ],
  }
  const { failures } = await exploreWorkload(workload, { ...limits, statesPerWorkload: 4000 })
  expect(failures).toEqual([])
}, 60_000)
