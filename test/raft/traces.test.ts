import { describe, expect, test } from 'vitest'
import { plantedRaftBugs } from '../../src/raft/planted.ts'
import { recordTraces } from './traces/worlds.ts'

const few = { seed: 1, count: 2, least: 60, most: 120 }

describe('runs in the words of the TLA+ model', () => {
  test('are written down alike for the same seeds, each line with a replica that is there', () => {
    const { module, names } = recordTraces('durable', few)
    expect(names).toHaveLength(2)
    expect(recordTraces('durable', few).module).toBe(module)
    const replicas = /TraceReplica == \{(.*)\}/.exec(module)![1]!.split(', ')
    const lines = module.split('\n').filter((line) => line.startsWith('[kind'))
    expect(lines.length).toBeGreaterThanOrEqual(120)
    expect(lines.filter((line) => !replicas.includes(/r \|-> ("\w+")/.exec(line)![1]!))).toEqual([])
  })

  test('tell of elections, records, flushes, crashes and claims', () => {
    const { module } = recordTraces('relaxed', { ...few, count: 4 })
    for (const kind of ['start', 'vote', 'flush', 'fetch', 'crash']) expect(module).toContain(`"${kind}"`)
    expect(module).toMatch(/add \|-> <<<<"r", \d+, \d+>>/)
    expect(module).toContain('"forgotten"')
  })

  test('end where a planted mistake is noticed by the simulation itself', () => {
    const { names } = recordTraces('durable', { ...few, count: 1, bug: plantedRaftBugs[0] })
    expect(names).toHaveLength(1)
  })
})
