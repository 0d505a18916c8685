import { reached } from '../model/reached.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { BadRange } from './badRanges.ts'
import type { LogState } from './logState.ts'
import { auditRangeOf } from './mendChecks.ts'
import { blockBytes, isUnreadable, readingAround } from './readingAround.ts'
import type { Segment } from './segment.ts'
import { auditBatches } from './verifyBatches.ts'

const stepBytes = 256 << 10
/** A file with more blocks than these that cannot be read is not mended piece by piece. */
const mostBlocks = 1024
/** How often in a row a block has to fail, with a pause before each time. */
const rounds = 10

/**
 * What becomes of a file of which a read has failed: all of it can be read (again), nobody can tell, or what cannot be read has been
 * taken for damage.
 */
export type UnreadableFinding = 'readable' | 'unclear' | 'damaged'

/**
 * Finds out whether parts of a segment's file cannot be read for good, and notes them as damage. `pause` resolves after a while, with
 * false when the search is to end. Nothing is noted unless the same blocks fail every time while the disk does read others: a disk
 * that fails for a while has lost nothing.
 */
export async function findUnreadable(
  state: LogState,
  path: string,
  pause: () => Promise<boolean>,
): Promise<UnreadableFinding> {
  const { badRanges, segments, flush, cuts } = state
  const index = segments.all.findIndex(({ file }) => file.path === path)
  const segment = segments.all[index]
  if (segment === undefined || state.offline !== null) return 'readable'
  const sizeBytes = flush.readableBytes(segment)
  const endOffset = Math.min(state.endOffsetOf(index), flush.flushedOffset)
  const isKnown = (block: number): boolean => badRanges.unreadableIn(path, block, block + blockBytes) !== null
  let failing = await failingBlocks(segment.file, sizeBytes, isKnown)
  if (failing.length > mostBlocks) return 'unclear'
  for (let round = 0; round < rounds && failing.length > 0; round++) {
    const goesOn = await pause()
    const isSame = state.cuts === cuts && !segment.isBeingReplaced && segments.all.includes(segment)
    if (!goesOn || !isSame || state.offline !== null || state.isClosing) return 'unclear'
    failing = await stillFailing(segment.file, sizeBytes, failing)
    if (failing.length > 0 && !(await readsOthers(state, segment, sizeBytes, new Set(failing))))
      return 'unclear'
  }
  if (failing.length === 0) return 'readable'
  const lost = new Set(failing)
  const found: BadRange[] = []
  const file = readingAround(segment.file, (block) => lost.has(block) || isKnown(block))
  // What was appended meanwhile was not looked at.
  const range = { ...auditRangeOf(state, segments.all.indexOf(segment), file), sizeBytes, endOffset }
  await auditBatches(range, state.runtime.checksum, { bad: (bad) => found.push(bad) })
  if (state.cuts !== cuts || segment.isBeingReplaced || !segments.all.includes(segment)) return 'unclear'
  for (const bad of found) {
    const isLost = failing.some((block) => block < bad.end && block + blockBytes > bad.position)
    const instead = { isUnreadable: true, expected: 'what was written', found: 'what the disk cannot read' }
    badRanges.add(isLost ? { ...bad, ...instead } : bad)
  }
  reached('unreadableNoted')
  return 'damaged'
}

/** Where the blocks begin that cannot be read now; known ones are left out. Ends with more than `mostBlocks`. */
async function failingBlocks(
  file: DiskFile,
  sizeBytes: number,
  isKnown: (block: number) => boolean,
): Promise<number[]> {
  const failing: number[] = []
  const step = new Uint8Array(Math.min(stepBytes, sizeBytes))
  for (let position = 0; position < sizeBytes && failing.length <= mostBlocks; position += stepBytes) {
    const length = Math.min(stepBytes, sizeBytes - position)
    if (await canRead(file, step.subarray(0, length), position)) continue
    for (let block = position; block < position + length; block += blockBytes) {
      const part = step.subarray(0, Math.min(blockBytes, sizeBytes - block))
      if (!isKnown(block) && !(await canRead(file, part, block))) failing.push(block)
    }
  }
  return failing
}

async function stillFailing(file: DiskFile, sizeBytes: number, blocks: readonly number[]): Promise<number[]> {
  const failing: number[] = []
  const bytes = new Uint8Array(blockBytes)
  for (const block of blocks) {
    const part = bytes.subarray(0, Math.min(blockBytes, sizeBytes - block))
    if (part.length > 0 && !(await canRead(file, part, block))) failing.push(block)
  }
  return failing
}

/** Whether the disk itself, not the page cache, gives some other block of the log. */
async function readsOthers(
  state: LogState,
  segment: Segment,
  sizeBytes: number,
  failing: ReadonlySet<number>,
): Promise<boolean> {
  const bytes = new Uint8Array(blockBytes)
  const reads = async (file: DiskFile, block: number, length: number): Promise<boolean> => {
    await file.dropCached?.()
    return canRead(file, bytes.subarray(0, Math.min(blockBytes, length)), block)
  }
  let good = 0
  while (failing.has(good)) good += blockBytes
  if (good < sizeBytes && (await reads(segment.file, good, sizeBytes - good))) return true
  for (const other of state.segments.all) {
    const length = state.flush.readableBytes(other)
    if (other !== segment && length > 0 && (await reads(other.file, 0, length))) return true
  }
  return false
}

/** Whether something can be read; what else goes wrong is thrown. */
async function canRead(file: DiskFile, target: Uint8Array, position: number): Promise<boolean> {
  try {
    await file.read(target, position)
    return true
  } catch (error) {
    if (isUnreadable(error)) return false
    throw error
  }
}
