import { expect, test } from 'vitest'
import { GroupConfigs } from '../../src/replica/groupConfigs.ts'
import type { GroupSpec } from '../../src/replica/groupTypes.ts'
import { Lag } from '../../src/replica/lag.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'

const fixed = { clusterId: 'c', self: { id: 1, directoryId: 'AAAAAAAAAAAAAAAAAAAAAQ' }, endpoints: [] }
const spec: GroupSpec = {
  topic: 't',
  partition: 0,
  topicId: 'AAAAAAAAAAAAAAAAAAAAAg',
  kind: 'partition',
  config: defaultLogConfig,
  voters: [],
}

test('groups that are alike share what they are told, and all of them wait longer where there are more', () => {
  const configs = new GroupConfigs(fixed, { electionTimeoutMs: 100, fetchTimeoutMs: 200 })
  const first = configs.of(spec)
  expect(configs.of({ ...spec, partition: 7 })).toBe(first)
  expect(configs.of({ ...spec, standsFirst: true })).not.toBe(first)
  expect(configs.of({ ...spec, config: { ...defaultLogConfig, flush: 'none' } })).toMatchObject({
    isRelaxed: true,
    relaxed: false,
  })
  expect([first.electionTimeoutMs, first.fetchTimeoutMs, first.requestTimeoutMs]).toEqual([100, 200, 400])
  configs.adapt(8000, 0)
  expect([first.electionTimeoutMs, first.fetchTimeoutMs, first.requestTimeoutMs]).toEqual([1100, 1200, 1400])
})

test('a node that is behind waits longer, as long as its groups may be why', () => {
  const configs = new GroupConfigs(fixed)
  configs.adapt(3, 60_000)
  expect(configs.slackMs).toBe(0)
  configs.adapt(80, 500)
  expect(configs.slackMs).toBe(510)
  configs.adapt(80, 60_000)
  expect(configs.slackMs).toBe(710)
  configs.adapt(8000, 60_000)
  expect(configs.slackMs).toBe(11_000)
})

test('lag counts less and less, a greater one at once, and little of it not at all', () => {
  const lag = new Lag()
  lag.note(15, 0)
  expect(lag.slackMs(0)).toBe(0)
  lag.note(400, 1000)
  expect(lag.slackMs(1000)).toBe(1200)
  lag.note(100, 1100)
  expect(lag.slackMs(3000)).toBe(600)
  lag.note(900, 3000)
  expect(lag.slackMs(3000)).toBe(2700)
  expect(lag.slackMs(30_000)).toBeLessThan(3)
  expect(lag.slackMs(31_000)).toBe(0)
})
