import { afterEach, describe, expect, test } from 'vitest'
import { plant } from '../../../src/model/planted.ts'
import { runBrokers } from '../../../src/testing/brokers/brokerRun.ts'
import { findPlanted, worldBugs } from '../../../src/testing/plantedRuns.ts'

afterEach(() => plant(null))

describe('a world of brokers', () => {
  test('keeps what its clients were told, whatever fails', async () => {
    for (let seed = 1; seed <= 4; seed++) {
      const { failure, acked, events } = await runBrokers({ seed })
      expect({ seed, failure: failure?.message ?? null }).toEqual({ seed, failure: null })
      expect(acked).toBeGreaterThan(0)
      expect(events).toBeGreaterThan(1000)
    }
  }, 120_000)

  test('takes up brokers again whose disks went back', async () => {
    for (const seed of [1, 6]) {
      const classes = ['diskBack', 'kill'] as const
      const { failure, faultCounts } = await runBrokers({ seed, classes, faultCount: [3, 4] })
      expect({ seed, failure: failure?.message ?? null }).toEqual({ seed, failure: null })
      expect(faultCounts.get('diskBack')).toBeGreaterThan(0)
    }
  }, 120_000)

  test('has what its idempotent producers send acknowledged, several batches at a time', async () => {
    const { failure, acked, operations } = await runBrokers({
      seed: 1,
      idempotentShare: 1,
      faultCount: [0, 0],
    })
    expect(failure?.message ?? null).toBeNull()
    const produced = operations.filter(({ kind }) => kind === 'produce')
    // They once had no producer id, so that nothing was sent at all.
    expect(acked).toBeGreaterThan(produced.length * 2)
  }, 120_000)

  test('waits for what a slow disk was writing when it was healed before it compares files', async () => {
    const { failure } = await runBrokers({ seed: 600_054 })
    expect(failure?.message ?? null).toBeNull()
  }, 120_000)

  test.each(['lastBatchKnownAlone', 'refusedForgotten'])(
    'finds %s',
    async (name) => {
      let runs = 0
      const bug = worldBugs.find((each) => each.name === name)!
      const found = await findPlanted(bug, 1, () => runs++ >= 20)
      expect(found?.failure.id).toBe('I13')
    },
    300_000,
  )

  test('is a pure function of its seed', async () => {
    const first = await runBrokers({ seed: 5 })
    const second = await runBrokers({ seed: 5 })
    expect(second.traceHash).toBe(first.traceHash)
    expect((await runBrokers({ seed: 6 })).traceHash).not.toBe(first.traceHash)
  }, 120_000)

  test('leaves faults and operations out by their numbers', async () => {
    const all = await runBrokers({ seed: 7 })
    const none = await runBrokers({
      seed: 7,
      skipFaults: new Set(all.faults.map(({ number }) => number)),
      skipOperations: new Set(all.operations.slice(1).map(({ number }) => number)),
    })
    expect(none.failure?.message ?? null).toBeNull()
    expect([none.faults.length, none.operations.length]).toEqual([0, 1])
    // What the run itself writes in the end.
    expect(none.acked).toBeGreaterThan(0)
    expect(none.faultCounts.size).toBe(0)
  }, 120_000)
})
