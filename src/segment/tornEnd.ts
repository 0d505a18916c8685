import { isDurable } from '../model/flushPolicy.ts'
import type { LogFields, Logger } from '../model/logger.ts'
import type { Checksum } from '../runtime/checksum.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Damage } from './batchScan.ts'
import { readInt32 } from './integers.ts'
import { checksumInSteps } from './largeBatch.ts'
import { type RecoveryInput, removeSegments } from './logFiles.ts'
import { batchHeaderBytes, batchPrefixBytes, readCrc } from './recordBatch.ts'
import type { Segment } from './segment.ts'

/** What a disk writes as a whole, or not at all. */
const sectorBytes = 512
/** A shorter run of zeros may be what was written: high bytes of an offset, a record without headers. */
const leastZeros = 16
const stepBytes = 1 << 20

/**
 * What a bad end is. `torn`: nobody counts on it. `unproven`: it looks torn, and a sector that became zeros after it was acknowledged
 * would look the same. `rot`: all of it was written, so it may have been acknowledged.
 */
type EndVerdict = 'torn' | 'unproven' | 'rot'

/**
 * What the bad end of a log is, above what is known to be durable and what the journal has written again. Under `journal` only a batch
 * too large for it can have been acknowledged there, under a relaxed policy nobody counts on any. No torn write leaves a batch of which
 * every sector was written.
 */
async function judgeEnd(
  { config }: RecoveryInput,
  { file, baseOffset, sizeBytes }: Segment,
  damage: Damage,
  endOffset: number,
  checksum: Checksum,
): Promise<EndVerdict> {
  if (!isDurable(config.flush)) return 'torn'
  if (damage.isOfEpoch === true) return 'rot'
  const unlessRot = config.flush === 'journal' ? 'torn' : 'unproven'
  // What lies before a segment that begins too late is not there.
  const isHole = damage.position === 0 && baseOffset !== endOffset
  if (isHole) return unlessRot
  // Under `append` none is written before the one before is synced.
  if (config.flush === 'append' && (await isFollowed(file, damage.position, sizeBytes, checksum)))
    return 'rot'
  return (await looksTorn(file, damage.position, sizeBytes, checksum)) ? unlessRot : 'rot'
}

/** Whether a whole batch stands where the one that begins at `position` says that it ends. */
async function isFollowed(
  file: DiskFile,
  position: number,
  fileBytes: number,
  checksum: Checksum,
): Promise<boolean> {
  const bytesAt = async (at: number): Promise<number> => {
    if (at + batchHeaderBytes > fileBytes || (await file.read(head, at)) < head.length) return -1
    const sizeBytes = readInt32(head, 8) + batchPrefixBytes
    return sizeBytes >= batchHeaderBytes && at + sizeBytes <= fileBytes ? sizeBytes : -1
  }
  const head = new Uint8Array(batchHeaderBytes)
  const sizeBytes = await bytesAt(position)
  if (sizeBytes < 0) return false
  const at = position + sizeBytes
  const followingBytes = await bytesAt(at)
  if (followingBytes < 0) return false
  return (await checksumInSteps(file, at, followingBytes, checksum)) === readCrc(head)
}

/** Whether something of the batch that begins at `position` was never written, as far as can be seen: a sector of zeros, or the end of the file. */
async function looksTorn(
  file: DiskFile,
  position: number,
  fileBytes: number,
  checksum: Checksum,
): Promise<boolean> {
  const left = fileBytes - position
  if (left < batchHeaderBytes) return true
  const head = new Uint8Array(batchHeaderBytes)
  if ((await file.read(head, position)) < head.length) return true
  const claimed = readInt32(head, 8) + batchPrefixBytes
  // Its checksum leaves its length out.
  if (claimed > left) return (await checksumInSteps(file, position, left, checksum)) !== readCrc(head)
  const end = position + (claimed < batchHeaderBytes ? Math.min(left, stepBytes) : claimed)
  // Steps end where sectors do.
  for (let at = position; at < end; ) {
    const stop = Math.min(at - (at % sectorBytes) + stepBytes, end)
    const step = new Uint8Array(stop - at)
    if ((await file.read(step, at)) < step.length) return true
    for (let from = at; from < stop; ) {
      const to = Math.min(from - (from % sectorBytes) + sectorBytes, stop)
      const isZero = step.subarray(from - at, to - at).every((byte) => byte === 0)
      if (isZero && to - from >= leastZeros) return true
      from = to
    }
    at = stop
  }
  return false
}

/** Told before the log is cut where it ends badly, at or above the recovery point: whoever votes with it knows then that it may lack something. */
export async function announceCut(
  input: RecoveryInput,
  segment: Segment,
  damage: Damage,
  endOffset: number,
  checksum: Checksum,
): Promise<void> {
  const verdict = await judgeEnd(input, segment, damage, endOffset, checksum)
  if (verdict !== 'torn') await input.mayLackEnd?.()
  tellCut(input.logger, verdict, {
    file: segment.file.path,
    position: damage.position,
    logEndOffset: endOffset,
    expected: damage.expected,
    found: damage.found,
  })
}

/** Cuts the log after its last good batch, after `announceCut`. */
export async function cutTail(
  runtime: Pick<Runtime, 'disk'>,
  directory: string,
  segments: Segment[],
  index: number,
  damage: Damage,
  endOffset: number,
): Promise<void> {
  const segment = segments[index]!
  // A segment that does not begin where the log ends is wholly beyond a hole.
  const keep = damage.position > 0 || segment.baseOffset === endOffset ? index + 1 : index
  await removeSegments(runtime, directory, segments.splice(keep))
  if (keep === index) return
  segment.sizeBytes = damage.position
  await segment.file.truncate(damage.position)
}

function tellCut(logger: Logger, verdict: EndVerdict, fields: LogFields): void {
  if (verdict === 'rot') {
    logger.error('cut the damaged end of a log: what is gone may have been acknowledged', fields)
  } else if (verdict === 'unproven') {
    logger.warn('cut the torn end of a log; that it was never durable cannot be proven', fields)
  } else logger.warn('cut the torn end of a log: nothing of it was acknowledged as durable', fields)
}
