import { silentLogger } from '../../../src/model/logger.ts'
import { uuidFromBytes } from '../../../src/model/uuid.ts'
import type { Checksum } from '../../../src/runtime/checksum.ts'
import type { JournalEntry } from '../../../src/segment/journal/entries.ts'
import { Journal } from '../../../src/segment/journal/journal.ts'
import type { JournalHost } from '../../../src/segment/journal/journalHost.ts'
import type { JournalOptions } from '../../../src/segment/journal/journalOptions.ts'
import type { JournalReplay } from '../../../src/segment/journal/journalReplay.ts'
import type { LogCheckpoint } from '../../../src/segment/journal/nodeCheckpoint.ts'
import type { Image } from '../../../src/testing/medium.ts'
import { SimFileSystem } from '../../../src/testing/simFileSystem.ts'
import { SimRandom } from '../../../src/testing/simRandom.ts'
import { createSimRuntime, type SimRuntime } from '../../../src/testing/simRuntime.ts'

/** Whose journals the tests make. */
export const directoryId = new Uint8Array(16).fill(9)
/** Where the simulated journal is. */
export const directory = '/data/.journal'

/** Eight blocks a file, at most five files: everything happens soon. */
export const tiny = { fileBytes: 32 << 10, journalBytes: 160 << 10, directoryId, logger: silentLogger }

/** So many files that no checkpoint is needed. */
export const large = { journalBytes: 8 << 20 }

/** An id whose bytes are all `number`. */
export function logId(number: number): string {
  return uuidFromBytes(new Uint8Array(16).fill(number))
}

/** Entry number `id` of a test: its bytes follow from its number. */
export function numbered(id: number, sizeBytes: number): JournalEntry {
  return {
    type: 'append',
    logId: logId(id % 5),
    segmentBaseOffset: 0,
    position: id,
    baseOffset: id,
    lastOffset: id,
    bytes: new Uint8Array(sizeBytes).fill(id),
  }
}

/** The number of an entry made by `numbered`; -1 when it is not whole. */
export function numberOf(entry: JournalEntry): number {
  if (entry.type !== 'append' || entry.logId !== logId(entry.baseOffset % 5)) return -1
  const isWhole = entry.bytes.every((byte) => byte === entry.baseOffset % 256)
  return isWhole && entry.lastOffset === entry.baseOffset ? entry.baseOffset : -1
}

/** One thing that a workload does. */
export type Action =
  | { readonly type: 'commit'; readonly sizes: readonly number[] }
  /** The event loop turns a few times. */
  | { readonly type: 'turns'; readonly count: number }
  /** Everything committed so far becomes durable. */
  | { readonly type: 'settle' }
  /** Nothing happens for so long. */
  | { readonly type: 'wait'; readonly ms: number }

/** What is known of a journal from outside. */
export interface Truth {
  /** In which frame each entry went, by its number. */
  readonly sequenceOf: Map<number, number>
  /** Every entry below this number was acknowledged. */
  acked: number
  /** Number of the next entry. */
  next: number
  /** Number of the first entry that is in no frame yet. */
  noted: number
  /** Counts the lives: what an earlier one still does does not count. */
  life: number
  /** The greatest sequence below which the host has stored everything. */
  stored: number
}

/** The truth about a new journal. */
export function newTruth(): Truth {
  return { sequenceOf: new Map(), acked: 0, next: 0, noted: 0, life: 0, stored: 1 }
}

/** Entries from `found` on do not exist, whatever was known of them. */
export function forgetFrom(truth: Truth, found: number): void {
  truth.next = found
  truth.noted = found
  truth.acked = found
  for (const id of truth.sequenceOf.keys()) if (id >= found) truth.sequenceOf.delete(id)
}

/** A journal in a simulated world. */
export interface Journalled {
  readonly fs: SimFileSystem
  readonly runtime: SimRuntime
  readonly journal: Journal
  readonly replay: JournalReplay
}

/** Opens a journal over what the medium has. Frames that it writes are noted in `truth`. */
export async function openWorld(
  image: Image | null,
  seed: number,
  truth: Truth,
  options: Partial<JournalOptions> = {},
  onEvent: (fs: SimFileSystem) => void = () => {},
): Promise<Journalled> {
  truth.life++
  const fs: SimFileSystem = new SimFileSystem({
    ...(image === null ? {} : { image }),
    onEvent: () => onEvent(fs),
  })
  const sim = createSimRuntime(fs, { seed })
  const runtime = { ...sim, checksum: noting(sim.checksum, truth) }
  await sim.disk.makeDirectory('/data')
  await sim.disk.syncDirectory('/')
  const { journal, replay } = await Journal.open(runtime, { ...tiny, directory, ...options })
  return { fs, runtime, journal, replay }
}

/** A checksum that notes in which frame the entries of `truth` went: they go in order. */
function noting(checksum: Checksum, truth: Truth): Checksum {
  const { life } = truth
  return {
    ...checksum,
    sealBlocks(blocks, generation, sequence) {
      checksum.sealBlocks(blocks, generation, sequence)
      if (sequence === 0 || life !== truth.life) return
      const count = new DataView(blocks.buffer, blocks.byteOffset).getUint32(20 + 12)
      for (let entry = 0; entry < count; entry++) truth.sequenceOf.set(truth.noted++, sequence)
    },
  }
}

/** A log of a checkpoint for all that lies below `sequence`. */
export function logCheckpoint(log: number, sequence: number): LogCheckpoint {
  return {
    id: logId(log),
    topicId: logId(200),
    name: `topic-${log}`,
    recoveryPoint: sequence,
    logStartOffset: 0,
    states: log === 0 ? [{ kind: 3, bytes: Buffer.from('voted') }] : [],
  }
}

/** Lets the journal use files again: what it asks for is stored after a few turns. */
export function hostOf(truth: Truth, random: SimRandom): JournalHost {
  const { life } = truth
  return {
    async syncBehind(sequence) {
      for (let turn = random.below(30); turn > 0; turn--) await null
      if (life === truth.life) truth.stored = Math.max(truth.stored, sequence)
      // More than a block, so that half of it can get lost.
      return { logs: Array.from({ length: 80 }, (_, log) => logCheckpoint(log, sequence)) }
    },
  }
}

/** Carries a workload out. */
export async function run(world: Journalled, truth: Truth, actions: readonly Action[]): Promise<void> {
  const { journal, runtime } = world
  const { life } = truth
  let last: Promise<unknown> = Promise.resolve()
  for (const action of actions) {
    switch (action.type) {
      case 'commit': {
        const entries = action.sizes.map((size, index) => numbered(truth.next + index, size))
        truth.next += entries.length
        const end = truth.next
        last = journal.commit(entries).then(() => {
          if (life === truth.life) truth.acked = Math.max(truth.acked, end)
        })
        last.catch(() => {})
        break
      }
      case 'turns':
        for (let turn = 0; turn < action.count; turn++) await null
        break
      case 'settle':
        await last
        break
      case 'wait':
        runtime.clock.advance(action.ms)
        break
    }
  }
}

/** The numbers of all entries that a replay gives, frame by frame. */
export async function numbersIn(replay: JournalReplay): Promise<number[]> {
  const numbers: number[] = []
  for await (const entry of replay.entries()) numbers.push(numberOf(entry))
  return numbers
}

/** What a crash leaves of `fs`: each block that is not synced with the chance `keep` (0 to 1), some of them torn. */
export function crash(fs: SimFileSystem, random: SimRandom, keep: number): Image {
  return fs.medium.crashed((unit) => {
    if (unit.kind !== 'block') return random.below(1000) < keep * 1000
    if (random.below(20) === 0) return { sectors: random.below(9) }
    return random.below(1000) < keep * 1000
  })
}

/** What is stored of a journal that took these frames, one after the other, and then had nothing to do. */
export async function journalWith(
  truth: Truth,
  frames: readonly (readonly number[])[],
  seed: number,
): Promise<Image> {
  const world = await openWorld(null, seed, truth, large)
  for (const sizes of frames) await run(world, truth, [{ type: 'commit', sizes }, { type: 'settle' }])
  await run(world, truth, [
    { type: 'wait', ms: 120 },
    { type: 'turns', count: 200 },
    { type: 'wait', ms: 120 },
    { type: 'turns', count: 200 },
  ])
  world.runtime.disk.kill()
  return crash(world.fs, new SimRandom(seed), 0)
}
