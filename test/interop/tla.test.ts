import { expect, test } from 'vitest'
import { repositoryRoot, run } from './support/run.ts'

test('the TLA+ model holds, what is planted in it is found, and runs of the core fit it', async () => {
  const { stdout } = await run(process.execPath, [`${repositoryRoot}scripts/tla.mjs`, '--quick'], {
    timeoutMs: 240_000,
  })
  expect(stdout).toMatch(/^tla: [1-9]\d* passed, 0 failed$/m)
  expect(stdout).toMatch(/runs durable: 3 of 3 runs fit/)
}, 250_000)
