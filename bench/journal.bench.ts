import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../src/model/logger.ts'
import { uuidFromBytes } from '../src/model/uuid.ts'
import type { DiskFile } from '../src/runtime/disk.ts'
import type { AppendEntry } from '../src/segment/journal/entries.ts'
import { Journal } from '../src/segment/journal/journal.ts'
import { createRuntime } from '../src/zerocopy/nativeRuntime.ts'

/**
 * How near does the journal come to bare system calls? Groups of 32 appends of 4 KiB, each group durable before the next
 * one begins, in three ways, in turns, each in an empty directory:
 *
 * - `floor`: bench/peers/floor/journal.c, mode `zero`: writes to segments, the journal, one fdatasync;
 * - `journal`: the journal alone, nothing written to segments;
 * - `journal+segments`: what the floor does, through the engine's disk.
 *
 * `SECONDS` (4), `ROUNDS` (3), `JOURNAL_MIB` (256), `PARTITIONS` (1000), `DEPTH` and `WRITERS` (32) in the environment;
 * `DIRECTORY` is where. The compiler `cc` makes the floor.
 */

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise)
const seconds = number('SECONDS', 4)
const rounds = number('ROUNDS', 3)
const journalMib = number('JOURNAL_MIB', 256)
const partitions = number('PARTITIONS', 1000)
const writers = number('WRITERS', 32)
const depth = number('DEPTH', 2)
const bytes = 4096
const root = mkdtempSync(join(process.env.DIRECTORY ?? tmpdir(), 'cordwood-bench-'))

interface Figures {
  readonly megabytes: number
  readonly p50: number
  readonly p99: number
  readonly recycles: number
}

function floor(): Figures {
  const directory = join(root, 'floor')
  mkdirSync(directory)
  const source = new URL('../../../bench/peers/floor/journal.c', import.meta.url).pathname
  execFileSync('cc', ['-O2', '-pthread', source, '-o', join(root, 'program')])
  const parameters = ['zero', partitions, writers, bytes, seconds, 'syncfs', journalMib].map(String)
  const line = execFileSync(join(root, 'program'), parameters, { cwd: directory, encoding: 'utf8' })
  const { mb_s, p50_us, p99_us, recycled } = JSON.parse(line)
  rmSync(directory, { recursive: true })
  return { megabytes: mb_s, p50: p50_us, p99: p99_us, recycles: recycled }
}

async function journal(withSegments: boolean): Promise<Figures> {
  const directory = join(root, 'journal')
  mkdirSync(directory)
  const { disk, ...rest } = createRuntime({ native: true })
  const runtime = { disk, ...rest }
  const { journal } = await Journal.open(runtime, {
    directory: join(directory, '.journal'),
    directoryId: new Uint8Array(16).fill(1),
    logger: silentLogger,
    journalBytes: journalMib << 20,
    depth,
  })
  journal.host = {
    async syncBehind() {
      if (withSegments) await disk.syncFileSystem?.(directory)
      return { logs: [] }
    },
  }
  const files: DiskFile[] = Array.from({ length: partitions }, (_, at) =>
    disk.file(join(directory, `p${at}.log`)),
  )
  const ends = new Float64Array(partitions)
  const logId = uuidFromBytes(new Uint8Array(16).fill(3))
  const batch = new Uint8Array(bytes).fill(7)
  const group = async (): Promise<void> => {
    let durable: Promise<void> | null = null
    const writes = []
    for (let at = 0; at < writers; at++) {
      const partition = Math.floor(Math.random() * partitions)
      const position = ends[partition]!
      ends[partition] = position + bytes
      const entry: AppendEntry = {
        type: 'append',
        logId,
        segmentBaseOffset: 0,
        position,
        baseOffset: position,
        lastOffset: position,
        bytes: batch,
      }
      durable = journal.commit([entry])
      if (withSegments) {
        writes.push({ file: files[partition]!, position, parts: [batch], sync: 'none' as const })
      }
    }
    if (withSegments) await disk.submit(writes)
    await durable
  }
  // All files of the journal are made before anything is measured, as the floor does it.
  const fillEnd = (journalMib << 20) * 1.1
  for (let written = 0; written < fillEnd; written += writers * bytes) await group()
  const took: number[] = []
  const from = journal.flushedSequence
  const start = performance.now()
  for (let now = start; now - start < seconds * 1000; ) {
    await group()
    const then = performance.now()
    took.push(then - now)
    now = then
  }
  const ms = performance.now() - start
  const written = (journal.flushedSequence - from) * writers * (bytes + 53)
  await journal.close({ clean: true })
  await disk.close()
  rmSync(directory, { recursive: true })
  took.sort((a, b) => a - b)
  const us = (share: number): number => Math.round(took[Math.floor(took.length * share)]! * 1000)
  return {
    megabytes: (took.length * writers * bytes) / ms / 1000,
    p50: us(0.5),
    p99: us(0.99),
    recycles: Math.floor(written / (journalMib << 20)),
  }
}

const ways: Record<string, () => Figures | Promise<Figures>> = {
  floor,
  journal: () => journal(false),
  'journal+segments': () => journal(true),
}
const all: Record<string, Figures[]> = {}
for (let round = 0; round < rounds; round++) {
  for (const [name, measure] of Object.entries(ways)) {
    const figures = await measure()
    ;(all[name] ??= []).push(figures)
    console.log(round, name, figures)
  }
}
const median = (name: string): Figures => {
  const sorted = all[name]!.toSorted((a, b) => a.megabytes - b.megabytes)
  return sorted[sorted.length >> 1]!
}
const base = median('floor').megabytes
console.table(
  Object.keys(ways).map((name) => {
    const { megabytes, p50, p99, recycles } = median(name)
    return { name, 'MB/s': Math.round(megabytes), ofFloor: (megabytes / base).toFixed(2), p50, p99, recycles }
  }),
)
rmSync(root, { recursive: true })
process.exit()
