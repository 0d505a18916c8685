import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

function run(script: string, ...words: readonly string[]): Promise<{ code: number; said: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [`scripts/${script}.mjs`, ...words],
      { cwd: root },
      (_, out, err) => resolve({ code: child.exitCode!, said: out + err }),
    )
  })
}

test.each([
  ['crash', 'npm run crash -- [options]'],
  ['planted', 'npm run planted:storage -- [options]'],
  ['plantedWorld', 'npm run planted -- [options]'],
  ['tla', 'npm run tla -- [options]'],
  ['chaos', 'npm run chaos -- [options]'],
])(
  'the script %s explains itself, and refuses with exit code 2 what it does not know',
  async (script, usage) => {
    expect(await run(script, '--help')).toEqual({ code: 0, said: expect.stringContaining(usage) })
    const refused = await run(script, '--bogus')
    expect(refused).toEqual({ code: 2, said: expect.stringContaining("Unknown option '--bogus'") })
    expect(refused.said).toContain(usage)
  },
)
