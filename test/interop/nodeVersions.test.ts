import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

const run = promisify(execFile)
const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** A Node of that major version, from the npm package of that name; the one that runs the tests if it is it. */
async function nodeOf(major: string): Promise<string> {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'package.json'), '{ "private": true }\n')
  await run('npm', ['install', '--no-audit', '--no-fund', `node@${major}`], { cwd: directory })
  return join(directory, 'node_modules', '.bin', 'node')
}

/** The trace hash of a few seeds. */
async function traceHashOf(node: string): Promise<string | undefined> {
  const args = [
    cli,
    'fuzz',
    '--shards',
    '1',
    '--seed',
    '42',
    '--seeds',
    '5',
    '--faults',
    'kill,partition,powerCut',
  ]
  const { stdout } = await run(node, args, { cwd: temporaryDirectory() })
  return /trace hash: ([0-9a-f]{16})/.exec(stdout)?.[1]
}

test('a seed has the same trace on every version of Node', async () => {
  const hashes = new Map<string, string | undefined>()
  for (const major of ['20', '22', '24']) {
    const node = await nodeOf(major)
    const { stdout } = await run(node, ['--version'])
    expect(stdout).toContain(`v${major}.`)
    hashes.set(major, await traceHashOf(node))
  }
  const [first] = hashes.values()
  expect(first).toMatch(/^[0-9a-f]{16}$/)
  expect(new Set(hashes.values())).toEqual(new Set([first]))
})
