import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { replayScenario } from '../../../src/testing/scenario.ts'
import { golden } from '../../raft/support/golden.ts'
import { playBrokerScenario } from '../support/brokerScenario.ts'

const folder = new URL('../../scenarios/brokers/', import.meta.url)

describe('scenarios of brokers', () => {
  /** Commands above the dashes, what comes of them below; UPDATE=1 rewrites what is below. */
  test.each(readdirSync(folder))(
    '%s',
    async (name) => {
      const url = new URL(name, folder)
      const actual = await replayScenario(readFileSync(url, 'utf8'), playBrokerScenario)
      expect(actual).toBe(golden(url, actual))
    },
    60_000,
  )

  test('that ask for what nobody knows are refused', async () => {
    await expect(playBrokerScenario('fly 1\n')).rejects.toThrow('a scenario of brokers knows no "fly"')
  }, 60_000)
})
