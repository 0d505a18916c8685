import { expect, test } from 'vitest'
import { blockBytes, fillerGeneration, readStamp } from '../../src/segment/journal/blocks.ts'
import type { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { Lone } from './support/lone.ts'

const journal = '/data/.journal'

function journalFiles(fs: SimFileSystem): string[] {
  const files = fs.list(journal).filter(({ name }) => name.startsWith('journal-'))
  return files.map(({ name }) => `${journal}/${name}`)
}

/** Changes the last block that was written to any file of the journal. */
function flipLastBlock({ fs, runtime }: Lone): void {
  for (const path of journalFiles(fs)) {
    fs.damage(path, (bytes) => {
      const changed = bytes.slice()
      for (let at = bytes.length - blockBytes; at >= blockBytes; at -= blockBytes) {
        if ((readStamp(bytes, at, runtime.checksum)?.generation ?? fillerGeneration) === fillerGeneration)
          continue
        changed.fill(0xff, at, at + 100)
        return changed
      }
      return changed
    })
  }
}

/** Cuts the end off every file of the journal. */
function shorten({ fs }: Lone): void {
  for (const path of journalFiles(fs)) fs.damage(path, (bytes) => bytes.slice(0, blockBytes))
}

/** A node that has voted in epoch 3, and whose journal is damaged then. */
async function damaged(damage: (lone: Lone) => void): Promise<Lone> {
  const lone = await Lone.start()
  await lone.open(3)
  await lone.quiet()
  await lone.logs.checkpoint()
  // The checkpoint has the log, and that it has begun.
  lone.clock.advance(6000)
  await lone.quiet()
  const answer = lone.ask(lone.vote(3))
  await lone.quiet()
  expect(answer.response).toMatchObject({ voteGranted: true })
  damage(lone)
  return lone
}

/** The power goes, and again after a start that opens no group, with its first checkpoint written or not. */
async function startTwice(lone: Lone, withCheckpoint: boolean): Promise<Lone> {
  lone.fs.syncAll(Number.MAX_SAFE_INTEGER)
  const first = await lone.restart()
  const log = first.logs.logs.get('t-0')!
  expect(first.logs.doubtsAbout(log).bits).not.toBe(0)
  if (withCheckpoint) {
    first.clock.advance(6000)
    await first.quiet()
  } else await first.logs.putState(log, 99, new Uint8Array(1))
  return first.restart()
}

for (const withCheckpoint of [true, false]) {
  const how = withCheckpoint ? 'let go of its damaged file' : 'written behind what is damaged'

  test(`a journal that lost votes is told to the replica by the second start, when the first has ${how} and told nobody`, async () => {
    const again = await startTwice(await damaged(shorten), withCheckpoint)
    const group = await again.open(3)
    expect(group.standing).toBe('rolledBack')
    const answer = again.ask(again.vote(3))
    await again.quiet()
    expect(answer.response).toMatchObject({ voteGranted: false })
    expect(again.logs.doubtsAbout(group.log).isRotten).toBe(false)
  })

  test(`an end that may have been durable is told to the replica by the second start, when the first has ${how} and told nobody`, async () => {
    const again = await startTwice(await damaged(flipLastBlock), withCheckpoint)
    await again.open(3)
    const answer = again.ask(again.vote(4))
    await again.quiet()
    expect(answer.response).toMatchObject({ quarantined: true })
  })
}

test('a replica that was told of a damaged journal is not told once more', async () => {
  const again = await startTwice(await damaged(flipLastBlock), true)
  const group = await again.open(3)
  expect(again.logs.doubtsAbout(group.log).isEndUnproven).toBe(true)
  await again.quiet()
  expect(again.logs.doubtsAbout(group.log).bits).toBe(0)
  const last = await again.restart()
  expect(last.logs.doubtsAbout(last.logs.logs.get('t-0')!).bits).toBe(0)
  // What it was told stays with it.
  await last.open(3)
  const answer = last.ask(last.vote(5))
  await last.quiet()
  expect(answer.response).toMatchObject({ quarantined: true })
})

test('a start that ends before the quarantine is durable leaves the doubt to the next one', async () => {
  const again = await startTwice(await damaged(shorten), true)
  again.gate.hold('sync')
  const opening = again.open(3)
  await again.quiet()
  const last = await again.restart()
  const group = await last.open(3)
  expect(group.standing).toBe('rolledBack')
  again.gate.release()
  await opening
})
