import { describe, expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '../../../src/model/logger.ts'
import { uuidFromBytes } from '../../../src/model/uuid.ts'
import type { Disk, DiskFile } from '../../../src/runtime/disk.ts'
import type { JournalEntry } from '../../../src/segment/journal/entries.ts'
import { Journal } from '../../../src/segment/journal/journal.ts'
import type { JournalOptions } from '../../../src/segment/journal/journalOptions.ts'
import { createRuntime } from '../../../src/zerocopy/nativeRuntime.ts'
import { temporaryDirectory } from '../../support/temporaryDirectory.ts'

const directoryId = new Uint8Array(16).fill(9)

function logId(number: number): string {
  return uuidFromBytes(new Uint8Array(16).fill(number))
}

function append(log: number, baseOffset: number, bytes: Uint8Array): JournalEntry {
  return {
    type: 'append',
    logId: logId(log),
    segmentBaseOffset: 0,
    position: baseOffset * 10,
    baseOffset,
    lastOffset: baseOffset,
    bytes,
  }
}

const small = { fileBytes: 64 << 10, journalBytes: 1 << 20, directoryId, logger: silentLogger }

describe.each(['portable', 'native'] as const)('a journal on the %s disk', (kind) => {
  async function open(directory: string, options: Partial<JournalOptions> = {}) {
    const runtime = createRuntime({ native: kind === 'native' })
    onTestFinished(() => runtime.disk.close())
    return Journal.open(runtime, { ...small, directory, ...options })
  }

  test('gives back what was committed, in order, also twice', async () => {
    const directory = temporaryDirectory()
    const { journal, replay } = await open(directory)
    expect(replay.checkpoint).toBeNull()
    const committed: JournalEntry[] = [
      { type: 'create', logId: logId(1), topicId: logId(2), name: 'orders-0' },
      append(1, 0, Buffer.alloc(10_000, 1)),
      append(1, 1, Buffer.alloc(3, 2)),
      { type: 'truncate', logId: logId(1), endOffset: 1, segmentBaseOffset: 0, position: 10 },
      { type: 'truncated', logId: logId(1) },
      { type: 'startOffset', logId: logId(1), offset: 2 ** 40 },
      { type: 'state', logId: logId(1), kind: 255, bytes: Buffer.from('vote') },
      { type: 'delete', logId: logId(1) },
    ]
    for (const entry of committed) await journal.commit([entry])
    expect(journal.flushedSequence).toBe(committed.length)
    await journal.close({ clean: false })
    const again = await open(directory)
    expect(again.replay.verdict).toEqual({ end: 'clean', rot: [] })
    for (const _ of [1, 2]) {
      const found: JournalEntry[] = []
      for await (const entry of again.replay.entries()) found.push(copied(entry))
      expect(found).toEqual(committed)
    }
    await again.journal.close({ clean: false })
  })

  test('uses files again once they are stored elsewhere', async () => {
    const directory = temporaryDirectory()
    const { journal } = await open(directory)
    const sequences: number[] = []
    journal.host = {
      syncBehind: async (sequence) => {
        sequences.push(sequence)
        return { logs: [] }
      },
    }
    for (let offset = 0; offset < 500; offset++)
      await journal.commit([append(1, offset, Buffer.alloc(8_000))])
    expect(sequences.length).toBeGreaterThan(2)
    expect(journal.totalBytes).toBeLessThanOrEqual(1 << 20)
    await journal.close({ clean: true })
    const again = await open(directory)
    expect(again.replay.isClean).toBe(true)
    await again.journal.close({ clean: false })
  })
})

test('reads in small pieces into the same memory, whatever the size of the journal', async () => {
  const runtime = createRuntime({ native: false })
  onTestFinished(() => runtime.disk.close())
  const directory = temporaryDirectory()
  const options = { ...small, directory, fileBytes: 2 << 20, journalBytes: 64 << 20 }
  const first = await Journal.open(runtime, options)
  for (let offset = 0; offset < 120; offset++) {
    await first.journal.commit([append(1, offset, Buffer.alloc(100_000, offset))])
  }
  await first.journal.close({ clean: false })
  let largest = 0
  const memory = new Set<unknown>()
  const watching: Disk = new Proxy(runtime.disk, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (name !== 'file') return typeof value === 'function' ? value.bind(target) : value
      return (path: string) => {
        const file = target.file(path)
        const read: DiskFile['read'] = (bytes, position) => {
          largest = Math.max(largest, bytes.length)
          if (bytes.length > 4_096) memory.add(bytes.buffer)
          return file.read(bytes, position)
        }
        return { path, read, size: () => file.size(), sync: () => file.sync() }
      }
    },
  })
  const { journal, replay } = await Journal.open({ ...runtime, disk: watching }, options)
  let count = 0
  for await (const entry of replay.entries()) if (entry.type === 'append') count += entry.bytes.length
  expect(count).toBe(120 * 100_000)
  expect(largest).toBeLessThanOrEqual(1 << 20)
  expect(memory.size).toBe(1)
  await journal.close({ clean: false })
})

function copied(entry: JournalEntry): JournalEntry {
  return 'bytes' in entry ? { ...entry, bytes: Buffer.from(entry.bytes) } : entry
}
