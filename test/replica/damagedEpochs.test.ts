import { expect, test } from 'vitest'
import type { Group } from '../../src/replica/group.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'
import { batchOf } from './support/cluster.ts'
import { Lone } from './support/lone.ts'

const file = '/data/t-0/00000000000000000000.log'
const config = { ...defaultLogConfig, flush: 'batch' } as const

/** Where each batch of the file begins. */
function batchesIn(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const starts: number[] = []
  for (let at = 0; at + 12 <= bytes.length; at += 12 + view.getInt32(at + 8)) starts.push(at)
  return starts
}

/** A leader under the policy `batch` with two batches of one epoch, and three of the next that no checkpoint has. */
async function written(): Promise<Lone> {
  const lone = await Lone.start()
  await lone.open(1, 0, { config })
  await lone.quiet()
  const append = async (group: Group, ...values: string[]): Promise<void> => {
    for (const value of values) await group.append(batchOf(lone.runtime, value), { acks: 'all' })
  }
  await append(lone.host.groups.values().next().value!, 'a', 'b')
  const again = await lone.restart()
  const group = await again.open(1, 0, { config })
  await again.quiet()
  await append(group, 'c', 'd', 'e')
  expect(group.log.logEndOffset).toBe(5)
  return again
}

/** The power goes, and the epoch of one batch is another one then. */
async function startWith(lone: Lone, index: number, epoch: (old: number) => number): Promise<Lone> {
  lone.fs.damage(file, (bytes) => {
    const changed = bytes.slice()
    const view = new DataView(changed.buffer)
    const at = batchesIn(bytes)[index]! + 12
    view.setInt32(at, epoch(view.getInt32(at)))
    return changed
  })
  lone.fs.syncAll(Number.MAX_SAFE_INTEGER)
  return lone.restart()
}

test.each([
  ['of the last batch is higher', 4, (old: number) => old + 3, 4],
  ['of the last batch is lower', 4, (old: number) => old - 1, 4],
  ['of a batch in the middle is higher', 3, (old: number) => old + 1, 3],
  ['of a batch in the middle is lower', 3, (old: number) => old - 1, 3],
  ['of the first batch of an epoch is higher', 2, (old: number) => old + 1, 2],
])(
  'a start after a crash that finds that the epoch %s knows that acknowledged records may be gone',
  async (_, index, epoch, end) => {
    const lone = await startWith(await written(), index, epoch)
    const group = await lone.open(3, 0, { config })
    await lone.quiet()
    expect(group.log.logEndOffset).toBe(end)
    const answer = lone.ask(lone.vote(9))
    await lone.quiet()
    expect(answer.response).toMatchObject({ quarantined: true })
  },
)

test('a start after a crash that finds all epochs right doubts nothing', async () => {
  const lone = await startWith(await written(), 4, (old) => old)
  const group = await lone.open(1, 0, { config })
  expect(group.log.logEndOffset).toBe(5)
  expect(lone.logs.doubtsAbout(group.log).bits).toBe(0)
})
