import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { playScenario, replayScenario } from '../../src/testing/scenario.ts'
import { golden } from '../raft/support/golden.ts'

const folder = new URL('../scenarios/', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'))

describe('scenarios on simulated nodes that run as they are shipped', () => {
  /** Commands above the dashes, what comes of them below; UPDATE=1 rewrites what is below. */
  test.each(names)('%s', async (name) => {
    const url = new URL(name, folder)
    const actual = await replayScenario(readFileSync(url, 'utf8'))
    expect(actual).toBe(golden(url, actual))
  })

  test('read the same every time', async () => {
    const script = 'elect 1\nappend 1 count=2\nkill 1\nsettle\n'
    expect(await playScenario(script)).toBe(await playScenario(script))
  })

  test('that ask for what nobody knows are refused', async () => {
    await expect(playScenario('fly 1\n')).rejects.toThrow('a scenario knows no "fly"')
    await expect(playScenario('cluster wings=2\n')).rejects.toThrow('a cluster knows no "wings=2"')
    await expect(playScenario('cluster flush=hourly\n')).rejects.toThrow('"hourly"')
    await expect(playScenario('kill 9\n')).rejects.toThrow('there is no node 9')
  })
})
