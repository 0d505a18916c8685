import { execFile, spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { removeLeftBundles } from '../../scripts/leftBundles.mjs'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs `npm run crash -- ARGUMENTS`. */
function crash(...words: readonly string[]): Promise<{ code: number; said: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['scripts/crash.mjs', ...words], { cwd: root }, (_, out, err) =>
      resolve({ code: child.exitCode!, said: out + err }),
    )
  })
}

test('a failure prints the command that makes it again, alone', async () => {
  const found = await crash('--planted', 'ackBeforeSync', '--failures', '1', '--minutes', '1')
  expect(found.code).toBe(1)
  const [, words] = /npm run crash -- (--replay \S+ --planted ackBeforeSync)\n/.exec(found.said)!
  const again = await crash(...words!.split(' '))
  const [, message] = /workload \d+: (.+)\n/.exec(found.said)!
  expect(again).toEqual({ code: 1, said: `crash: ${message}\n` })
  const word = words!.split(' ')[1]!
  expect(await crash('--replay', word)).toEqual({ code: 0, said: 'crash: every promise is kept\n' })
}, 120_000)

test('bundles go with the processes that made them, and stay while these run', () => {
  const directory = temporaryDirectory()
  const gone = spawnSync(process.execPath, ['--version']).pid
  for (const id of [gone, process.pid]) writeFileSync(`${directory}/explorer-${id}.mjs`, '')
  writeFileSync(`${directory}/other`, '')
  removeLeftBundles(directory)
  expect(readdirSync(directory).sort()).toEqual([`explorer-${process.pid}.mjs`, 'other'])
})

test.each<[string[], string]>([
  [['--bogus'], 'Unknown option'],
  [['--states', 'many'], '--states has to be a number'],
  [['--planted', 'nothing', '--states', '10'], 'there are ackBeforeSync'],
  [['--replay', 'garbage'], 'no word that a failure has printed'],
  // JSON, but nothing that a failure is made of.
  ...['{}', 'null', '1', '[]', '{"kind":"crash"}', '{"kind":"journal","point":{}}', '{"kind":"error"}'].map(
    (text): [string[], string] => [
      ['--replay', Buffer.from(text).toString('base64url')],
      'no word that a failure has printed',
    ],
  ),
])(
  '%j is refused with exit code 2',
  async (words, why) => {
    expect(await crash(...words)).toEqual({ code: 2, said: expect.stringContaining(why) })
  },
  60_000,
)
