import { expect, test } from 'vitest'
import type { InvariantError } from '../../src/model/assert.ts'
import { LentMemory } from '../../src/testing/lentMemory.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'

function world() {
  const found: string[] = []
  const fs = new SimFileSystem()
  fs.makeDirectory('/data')
  const lent = new LentMemory((error: InvariantError) => found.push(error.message))
  const { disk } = createSimRuntime(fs, { lent })
  return { disk, file: disk.file('/data/log'), found }
}

test('lent memory that is changed before its write has ended is found, whatever came before it in the group', async () => {
  const { disk, file, found } = world()
  const memory = disk.lend(1000)
  const parts = [new Uint8Array(10), memory.subarray(0, 500), memory.subarray(500)]
  const other = disk.file('/data/other')
  const written = disk.submit([
    { file: other, position: 0, parts: [new Uint8Array(7)], sync: 'none' },
    { file, position: 3, parts, sync: 'data' },
  ])
  memory[999] = 1
  await written
  expect(found).toEqual(['lent memory was changed before it was written to /data/log'])
})

test('a change that the sync of the group might still see is found, too', async () => {
  const { disk, file, found } = world()
  const memory = disk.lend(1000)
  let isOver = false
  const write = { file, position: 0, parts: [memory], sync: 'none' as const }
  const written = disk.submit([
    write,
    { ...write, file: disk.file('/data/slow'), parts: [new Uint8Array(5)], sync: 'data' },
  ])
  void written.catch(() => {}).then(() => (isOver = true))
  while ((await disk.stat('/data/log'))?.sizeBytes !== 1000) await null
  expect(isOver).toBe(false)
  memory.fill(1)
  await written.catch(() => {})
  expect(found).toHaveLength(1)
})

test('what is changed afterwards, or beside it, or was never lent, is nobody’s business', async () => {
  const { disk, file, found } = world()
  const [memory, ordinary] = [disk.lend(1000), new Uint8Array(1000)]
  const parts = [memory.subarray(100, 900), ordinary]
  const written = disk.submit([{ file, position: 0, parts, sync: 'data' }])
  ordinary.fill(1)
  memory.fill(1, 0, 100)
  memory.fill(1, 900)
  await written
  memory.fill(2)
  await disk.submit([{ file, position: 0, parts: [memory], sync: 'none' }])
  expect(found).toEqual([])
})

test('memory of a write that fails is looked at as well', async () => {
  const { disk, found } = world()
  const memory = disk.lend(10)
  const file = disk.file('/none/log')
  const written = disk.submit([{ file, position: 0, parts: [memory], sync: 'none' }])
  memory[0] = 1
  await expect(written).rejects.toMatchObject({ code: 'notFound' })
  expect(found).toHaveLength(1)
})
