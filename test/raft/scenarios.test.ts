import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { golden } from './support/golden.ts'
import { play } from './support/scenario.ts'

const folder = new URL('./scenarios/', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'))

/** Commands above the dashes, what comes of them below; UPDATE=1 rewrites what is below. */
test.each(names)('%s', (name) => {
  const url = new URL(name, folder)
  const [script = ''] = readFileSync(url, 'utf8').split('----\n')
  const actual = `${script}----\n${play(script)}`
  expect(actual).toBe(golden(url, actual))
})

test('a scenario that asks for what nobody knows is refused', () => {
  expect(() => play('group voters=1\nfly 1\n')).toThrow('a scenario knows no "fly"')
  expect(() => play('group voters=1\ncrash 2\n')).toThrow('there is no node 2')
})
