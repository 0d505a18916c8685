import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import { copyDirectory } from '../support/copyDirectory.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, create, failing, killed, killedWith, open, values, watching } from './journalingSupport.ts'
import { batchOf, readAll, runtime, valuesOf } from './support.ts'

test('a start that takes long says once a second how far it has come', async () => {
  const directory = temporaryDirectory()
  const { logs } = await open(directory)
  for (const topic of ['a', 'b', 'c']) await append(await create(logs, topic), batchOf(['x']))
  const copy = killed(directory)
  await logs.close()
  let nowMs = 0
  const monotonicMs = (): number => (nowMs += 1100)
  const clock = { ...runtime.clock, wallMs: () => runtime.clock.wallMs(), monotonicMs }
  const slow = await open(copy, { on: { ...runtime, clock } })
  expect(slow.logger.lines).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^info replaying the journal {"done":1,"total":\d+}$/),
      'info opening logs {"done":1,"total":3}',
      'info opening logs {"done":3,"total":3}',
      expect.stringMatching(/^info opened the data directory {"logs":3,"clean":false,"elapsedMs":\d+}$/),
    ]),
  )
  await slow.logs.close()
})

describe('the journal of a data directory', () => {
  test('is empty after a clean shutdown, and a start reads no log', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    await append(await create(logs, 'orders'), batchOf(['a']))
    await logs.close()
    const reads: string[] = []
    const again = await open(directory, { on: watching(reads) })
    expect(reads.filter((path) => path.includes('orders-0'))).toEqual([])
    expect(again.logger.has('replayed the journal')).toBe(false)
    expect(again.logger.has('"clean":true')).toBe(true)
    await again.logs.close()
  })

  test('may be elsewhere; without it nothing is opened', async () => {
    const directory = temporaryDirectory()
    const journalDirectory = `${temporaryDirectory()}/journal`
    const { logs } = await open(directory, { journalDirectory })
    await append(await create(logs, 'orders'), batchOf(['a']))
    await logs.close()
    expect(readdirSync(directory)).not.toContain('.journal')
    await expect(open(directory)).rejects.toMatchObject({ code: 'invalidConfig' })
    const other = temporaryDirectory()
    copyDirectory(journalDirectory, other)
    rmSync(journalDirectory, { recursive: true })
    await expect(open(directory, { journalDirectory })).rejects.toMatchObject({ code: 'corruptLog' })
    await expect(open(directory)).rejects.toMatchObject({ code: 'corruptLog' })
    // Moved on purpose.
    const moved = await open(directory, { journalDirectory: other })
    expect(valuesOf(await readAll(moved.log('orders-0')))).toEqual(['a'])
    await moved.logs.close()
  })

  test('is refused when it is an older copy of itself', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    await append(await create(logs, 'orders'), batchOf(['a']))
    await logs.close()
    const old = killed(directory)
    const again = await open(directory)
    await append(again.log('orders-0'), batchOf(['b']))
    await again.logs.close()
    rmSync(`${directory}/.journal`, { recursive: true })
    cpSync(`${old}/.journal`, `${directory}/.journal`, { recursive: true })
    await expect(open(directory)).rejects.toMatchObject({
      code: 'corruptLog',
      message: expect.stringContaining('older copy'),
    })
    // An operator who says so goes on with what is there.
    rmSync(`${directory}/.cordwood_journal`)
    expect(await values(directory)).toEqual(['a', 'b'])
  })

  test('of another data directory is refused', async () => {
    const [mine, others] = [temporaryDirectory(), temporaryDirectory()]
    await (await open(mine)).logs.close()
    await (await open(others)).logs.close()
    rmSync(`${mine}/.journal`, { recursive: true })
    cpSync(`${others}/.journal`, `${mine}/.journal`, { recursive: true })
    await expect(open(mine)).rejects.toMatchObject({ code: 'directoryForeign' })
  })

  test('brings back a partition.metadata that is gone', async () => {
    const { logs, log, copy } = await killedWith('a')
    const path = `${copy}/orders-0/partition.metadata`
    rmSync(path)
    const again = await open(copy)
    expect(valuesOf(await readAll(again.log('orders-0')))).toEqual(['a'])
    expect(readFileSync(path, 'utf8')).toContain(log.topicId)
    expect(again.logger.has('partition.metadata was missing')).toBe(true)
    await again.logs.close()
    await logs.close()
  })

  test('writes a partition.metadata again of which a power cut has left the length alone', async () => {
    const { logs, copy } = await killedWith('a')
    const path = `${copy}/orders-0/partition.metadata`
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, Buffer.alloc(text.length))
    const again = await open(copy)
    expect(readFileSync(path, 'utf8')).toBe(text)
    expect(valuesOf(await readAll(again.log('orders-0')))).toEqual(['a'])
    await again.logs.close()
    await logs.close()
  })

  test('takes over logs that it does not know', async () => {
    const directory = temporaryDirectory()
    const { logs } = await open(directory)
    await append(await create(logs, 'orders'), batchOf(['a']))
    await logs.close()
    for (const name of ['.journal', '.cordwood_journal']) rmSync(`${directory}/${name}`, { recursive: true })
    // A disk of its own: the other one holds descriptors of what was removed behind its back.
    const on = createNodeRuntime()
    const again = await open(directory, { on })
    await append(again.log('orders-0'), batchOf(['b']), on)
    expect(await values(killed(directory))).toEqual(['a', 'b'])
    await again.logs.close()
  })

  test('that has failed refuses every durable append, and a start finds all that was acknowledged', async () => {
    const directory = temporaryDirectory()
    let fails = false
    const on = failing((path) => fails && path.includes('.journal/journal-'))
    const { logs } = await open(directory, { on })
    const log = await create(logs, 'orders')
    const other = await create(logs, 'others')
    await append(log, batchOf(['a']), on)
    fails = true
    await expect(append(log, batchOf(['b']), on)).rejects.toMatchObject({ code: 'diskFailed' })
    await expect(append(other, batchOf(['x']), on)).rejects.toMatchObject({ code: 'diskFailed' })
    expect([log.offline?.code, other.offline?.code]).toEqual(['diskFailed', 'diskFailed'])
    const found = await values(killed(directory))
    expect(found[0]).toBe('a')
    await logs.close()
    expect(existsSync(`${directory}/.kafka_cleanshutdown`)).toBe(false)
  })
})
