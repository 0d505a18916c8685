import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { type PlantedBug, plant } from '../../src/model/planted.ts'
import { type ExploreLimits, exploreWorkload } from '../../src/testing/crash/explore.ts'
import { never } from '../../src/testing/crash/history.ts'
import { record } from '../../src/testing/crash/recording.ts'
import { decodeReproduction, encodeReproduction, replay } from '../../src/testing/crash/session.ts'
import {
  allPolicies,
  kindsAt,
  type Step,
  sequenceCount,
  stepKinds,
  type Workload,
  workloadAt,
} from '../../src/testing/crash/workload.ts'

const limits: ExploreLimits = {
  most: 20,
  exhaustiveUnits: 3,
  statesPerWorkload: 40,
  failuresPerWorkload: 1,
  secondLevel: 0.1,
}

const log = fc.nat(2)
const wait = fc.boolean()
const bytes = fc.constantFrom(10, 100, 400, 1500)
const at = fc.integer({ min: 0, max: 100 }).map((percent) => percent / 100)
const policy = fc.constantFrom(...allPolicies)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('append' as const), log, bytes, producer: wait, wait }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('group' as const), bytes, wait }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('roll' as const), log, wait }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('truncate' as const), log, at }) },
  fc.record({ do: fc.constant('deleteRecords' as const), log, at }),
  fc.record({
    do: fc.constantFrom('retention' as const, 'checkpoint' as const, 'close' as const, 'kill' as const),
  }),
  fc.record({ do: fc.constant('create' as const), policy }),
  fc.record({
    do: fc.constantFrom('delete' as const, 'recycle' as const, 'compact' as const, 'epoch' as const),
    log,
  }),
  fc.record({ do: fc.constant('policy' as const), log, policy }),
  fc.record({ do: fc.constant('idle' as const), ms: fc.constantFrom(1, 60, 5000) }),
)
const workload: fc.Arbitrary<Workload> = fc.record({
  seed: fc.nat(),
  policies: fc.array(policy, { minLength: 1, maxLength: 3 }),
  names: fc.constantFrom('journalled' as const, 'adversarial' as const),
  segmentBytes: fc.constantFrom(600, 2000, 6000),
  steps: fc.array(step, { minLength: 1, maxLength: 10, size: 'max' }),
})

test('whatever is done and wherever it is cut short, what was acknowledged is there and nothing else is', async () => {
  await fc.assert(
    fc.asyncProperty(workload, async (any) => {
      const { failures } = await exploreWorkload(any, limits)
      expect(failures).toEqual([])
    }),
    { numRuns: 15 },
  )
}, 120_000)

describe('a workload', () => {
  test('does the same every time it is recorded', async () => {
    const any = workloadAt(3, 7)
    const [first, second] = [await record(any), await record(any)]
    expect(first.events.length).toBeGreaterThan(50)
    expect(second.events).toEqual(first.events)
    expect(second.logs).toEqual(first.logs)
  })

  test('comes from every sequence of one, two and three steps, each once', () => {
    const seen = new Set(Array.from({ length: sequenceCount }, (_, index) => kindsAt(index).join()))
    expect(seen.size).toBe(stepKinds.length + stepKinds.length ** 2 + stepKinds.length ** 3)
  })

  test('compacts: a later record takes the place of an earlier one of its key', async () => {
    const append: Step = { do: 'append', log: 0, bytes: 400, producer: false, wait: true }
    const appends = Array.from({ length: 12 }, () => append)
    const base: Workload = {
      seed: 1,
      policies: ['journal'],
      names: 'journalled',
      segmentBytes: 900,
      steps: appends,
    }
    let records = -1
    const count = async (steps: readonly Step[]): Promise<number> => {
      await record(
        { ...base, steps },
        {
          async atEnd({ process: last }) {
            records = last.directory.logs.get('log0-0')!.sizeBytes
          },
        },
      )
      return records
    }
    const before = await count(appends)
    expect(await count([...appends, { do: 'checkpoint' }, { do: 'compact', log: 0 }])).toBeLessThan(before)
  })

  test('knows what was acknowledged', async () => {
    const { logs } = await record({
      seed: 5,
      policies: ['journal', 'none'],
      names: 'journalled',
      segmentBytes: 2000,
      steps: [{ do: 'group', bytes: 100, wait: true }],
    })
    expect(logs.map(({ current }) => current.batches.map(({ isDurable }) => isDurable))).toEqual([
      [true],
      [false],
    ])
    for (const { current } of logs) expect(current.batches[0]!.ackedAt).not.toBe(never)
  })
})

describe('a planted mistake', () => {
  afterEach(() => plant(null))

  test.each<[PlantedBug, Workload['policies'][number], readonly Step[]]>([
    ['ackBeforeSync', 'batch', [{ do: 'append', log: 0, bytes: 100, producer: false, wait: true }]],
    ['ackBeforeName', 'batch', [{ do: 'append', log: 0, bytes: 100, producer: false, wait: true }]],
    ['missingDirectorySync', 'batch', [{ do: 'append', log: 0, bytes: 100, producer: false, wait: true }]],
    ['journalAckBeforeSync', 'journal', [{ do: 'append', log: 0, bytes: 100, producer: false, wait: true }]],
    ['deletionNotJournaled', 'journal', [{ do: 'delete', log: 0 }]],
  ])(
    '%s is found, and its failure can be made again from the word that is printed',
    async (bug, flush, steps) => {
      const any: Workload = { seed: 11, policies: [flush], names: 'journalled', segmentBytes: 2000, steps }
      const sound = await exploreWorkload(any, { ...limits, statesPerWorkload: 4000 })
      expect(sound.failures).toEqual([])
      plant(bug)
      const { failures } = await exploreWorkload(any, { ...limits, statesPerWorkload: 4000 })
      expect(failures).toHaveLength(1)
      const { point, message } = failures[0]!
      const word = encodeReproduction({ kind: 'crash', point })
      expect(await replay(decodeReproduction(word))).toBe(message)
      plant(null)
      expect(await replay(decodeReproduction(word))).toBeNull()
    },
  )
})
