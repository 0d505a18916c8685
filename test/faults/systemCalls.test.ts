import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../interop/support/run.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { lost, wrong } from './support/ledger.ts'
import { endWriters, readBack, Writer } from './support/programs.ts'

afterEach(endWriters)

const durable = ['journal', 'batch', 'append'] as const
const workload = { logs: 3, writers: 4, bytes: 500 }

/** Runs a writer under injections until it stops by itself or has had enough, then kills it and starts anew. */
async function underInjection(policy: string, injections: readonly string[]) {
  const writer = Writer.start(temporaryDirectory(), { ...workload, policy }, injections)
  await writer.opened()
  return settled(writer)
}

/** The same, but undisturbed until it has been told of its first successes. */
async function injectedLater(policy: string, injections: readonly string[]) {
  const writer = Writer.start(temporaryDirectory(), { ...workload, policy })
  await writer.acknowledge(50)
  await writer.inject(injections)
  return settled(writer)
}

async function settled(writer: Writer) {
  const enough = writer.acknowledged.length + 1500
  const isEnough = () =>
    writer.isGone || writer.acknowledged.length > enough || writer.refused.length >= workload.writers
  await until('the writer to have had enough', isEnough)
  writer.kill()
  await writer.ended()
  return { writer, stored: await readBack(writer.directory) }
}

describe.each(durable)('%s: a sync that fails', (policy) => {
  test.each([1, 3, 20])(
    'from call %i of a thread on, its start included: what was acknowledged is there',
    async (when) => {
      const { writer, stored } = await underInjection(policy, [`fdatasync:error=EIO:when=${when}+`])
      expect(wrong(stored)).toEqual([])
      expect(lost(writer.acknowledged, stored)).toEqual([])
    },
  )

  test('once only: no later sync is believed, everything is refused', async () => {
    const { writer, stored } = await injectedLater(policy, ['fdatasync:error=EIO:when=2'])
    expect(writer.refused).toContain('diskFailed')
    expect(wrong(stored)).toEqual([])
    expect(lost(writer.acknowledged, stored)).toEqual([])
  })

  test.each([2, 7])('and dies inside it (call %i)', async (when) => {
    const { writer, stored } = await underInjection(policy, [`fdatasync:signal=KILL:when=${when}`])
    expect(writer.isGone).toBe(true)
    expect(wrong(stored)).toEqual([])
    expect(lost(writer.acknowledged, stored)).toEqual([])
  })
})

describe.each(durable)('%s: a write that fails', (policy) => {
  test.each([
    ['with EIO', 'error=EIO'],
    ['with ENOSPC', 'error=ENOSPC'],
  ])('%s from some call on: refused, never acknowledged and gone', async (_, fault) => {
    const { writer, stored } = await injectedLater(policy, [`pwritev,pwrite64:${fault}:when=3+`])
    expect(writer.refused.length).toBeGreaterThan(0)
    expect(wrong(stored)).toEqual([])
    expect(lost(writer.acknowledged, stored)).toEqual([])
  })

  test('now and then with EINTR: it goes on', async () => {
    const { writer, stored } = await injectedLater(policy, ['pwritev,pwrite64:error=EINTR:when=5+7'])
    expect(writer.refused).toEqual([])
    expect(lost(writer.acknowledged, stored)).toEqual([])
  })

  test.each([9, 30])('in the middle of which the process dies (call %i)', async (when) => {
    const { writer, stored } = await underInjection(policy, [`pwritev,pwrite64:signal=KILL:when=${when}`])
    expect(writer.isGone).toBe(true)
    expect(wrong(stored)).toEqual([])
    expect(lost(writer.acknowledged, stored)).toEqual([])
  })
})

test('a disk that says it wrote but did not: nothing wrong is served, what is missing is reported', async () => {
  const { writer, stored } = await injectedLater('batch', ['pwritev,pwrite64:retval=100:when=20'])
  const foreign = stored.records.filter(({ id }) => id < 0)
  expect(foreign).toEqual([])
  // Either the lie hit nothing that was acknowledged, or it is known where.
  if (lost(writer.acknowledged, stored).length > 0) expect(stored.failed).not.toEqual([])
})
