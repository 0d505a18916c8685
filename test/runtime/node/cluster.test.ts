import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { nextMessage, startProgram } from '../../support/childProgram.ts'
import { freePorts } from '../../support/freePorts.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'

const program = new URL('./clusterWorker.ts', import.meta.url)

test.each([
  ['short', 'd'],
  ['long', 'd'.repeat(120)],
])(
  'a worker of a cluster has the lock of a directory until it ends, whoever disconnects it: %s path',
  async (_, name) => {
    const directory = join(temporaryDirectory(), name)
    mkdirSync(directory)
    const primary = await startProgram(program, ['lock', join(directory, '.lock')])
    expect(await nextMessage(primary)).toEqual(['done', 'directoryLocked', 'directoryLocked'])
  },
)

test('a port is that of one worker of a cluster', async () => {
  const [port] = await freePorts(1)
  const primary = await startProgram(program, ['port', String(port)])
  expect(await nextMessage(primary)).toEqual(['done', 'addressInUse', 'addressInUse'])
})
