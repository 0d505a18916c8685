import { afterEach, describe, expect, test } from 'vitest'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { lost, wrong } from './support/ledger.ts'
import { endWriters, readBack, Writer } from './support/programs.ts'

afterEach(endWriters)

const policies = ['none', 'interval', 'bytes', 'records', 'journal', 'batch', 'append'] as const

describe('SIGKILL under load', () => {
  test.each(policies)('%s: nothing that was acknowledged is lost, whenever it comes', async (policy) => {
    const directory = temporaryDirectory()
    for (let round = 0; round < 4; round++) {
      const workload = { policy, logs: 7, writers: 5, bytes: 900 }
      const fresh = `${directory}/${round}`
      const writer = Writer.start(fresh, workload)
      await writer.acknowledge(100 + 150 * round)
      writer.kill()
      await writer.ended()
      const stored = await readBack(fresh)
      expect(wrong(stored)).toEqual([])
      expect(lost(writer.acknowledged, stored)).toEqual([])
    }
  })

  test('during a recovery, again and again: the next start still has everything', async () => {
    const directory = temporaryDirectory()
    const first = Writer.start(directory, { policy: 'journal', logs: 40, writers: 8, bytes: 3000 })
    await first.acknowledge(2000)
    first.kill()
    await first.ended()
    for (let round = 1; round <= 8; round++) {
      // Killed inside its own system calls, wherever the k-th write or rename happens to be.
      const calls = round % 2 === 0 ? 'pwrite64,pwritev' : 'rename,renameat,renameat2'
      const again = Writer.start(directory, { policy: 'journal', logs: 1, writers: 0, bytes: 1 }, [
        `${calls}:signal=KILL:when=${Math.ceil(round / 2)}`,
      ])
      await again.opened()
      again.kill()
      await again.ended()
    }
    const stored = await readBack(directory)
    expect(wrong(stored)).toEqual([])
    expect(lost(first.acknowledged, stored)).toEqual([])
  })
})
