import { readFileSync, writeFileSync } from 'node:fs'
import { beforeEach, describe, expect, test } from 'vitest'
import { CorruptionError } from '../../src/model/errors.ts'
import { Segment } from '../../src/segment/segment.ts'
import { buildIndexes, type SegmentIndexes } from '../../src/segment/segmentIndexes.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, openLog, runtime } from './support.ts'

describe('indexes made again from the batches of a file', () => {
  let path: string
  let batchBytes: number

  beforeEach(async () => {
    const directory = temporaryDirectory()
    const log = await openLog(directory)
    for (const value of ['a', 'b', 'c', 'd', 'e']) await append(log, batchOf([value]))
    await log.close({ clean: true })
    path = `${directory}/00000000000000000000.log`
    batchBytes = batchOf(['a']).length
  })

  async function build(baseOffset = 0): Promise<SegmentIndexes> {
    const sizeBytes = 5 * batchBytes
    return buildIndexes(new Segment(baseOffset, runtime.disk.file(path), 0, sizeBytes, false), sizeBytes, 0)
  }

  function damage(change: (bytes: Buffer) => void): void {
    const bytes = readFileSync(path)
    change(bytes)
    writeFileSync(path, bytes)
  }

  test('have an entry of each batch but the first', async () => {
    expect((await build()).offsetIndex.count).toBe(4)
  })

  test('are refused where a batch has lower offsets than the one before', async () => {
    damage((bytes) => bytes.copyWithin(4 * batchBytes, batchBytes, 2 * batchBytes))
    await expect(build()).rejects.toMatchObject({ corruption: { file: path, position: 4 * batchBytes } })
  })

  test('are refused where a batch ends before it begins', async () => {
    damage((bytes) => bytes.writeInt32BE(-3, 4 * batchBytes + 23))
    await expect(build()).rejects.toBeInstanceOf(CorruptionError)
  })

  test('are refused where an offset is none that the segment can have', async () => {
    damage((bytes) => bytes.writeBigInt64BE(2n ** 31n, 4 * batchBytes))
    await expect(build()).rejects.toBeInstanceOf(CorruptionError)
    await expect(build(7)).rejects.toMatchObject({ corruption: { position: 0 } })
  })
})
