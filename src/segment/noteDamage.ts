import type { FileRange } from '../model/fileRange.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { BadRange, BadRanges } from './badRanges.ts'
import { auditBatches } from './verifyBatches.ts'

/** How far behind the range the next good batch is looked for. */
const lookBehindBytes = 16 << 20

/**
 * Finds out how far the damage reaches that a check of `range`, read at `firstOffset`, has met, and takes note of it, so
 * that reads end before it from now on. Null when there is none to be found: a range that ends inside a good batch is
 * no damage.
 */
export async function noteDamage(
  runtime: Pick<Runtime, 'disk' | 'checksum'>,
  badRanges: BadRanges,
  range: FileRange,
  firstOffset: number,
): Promise<BadRange | null> {
  const found = await damageIn(runtime, range, firstOffset)
  for (const bad of found) badRanges.add(bad)
  return found[0] ?? null
}

/** What `noteDamage` takes note of, ascending. */
export async function damageIn(
  { disk, checksum }: Pick<Runtime, 'disk' | 'checksum'>,
  range: FileRange,
  firstOffset: number,
): Promise<readonly BadRange[]> {
  const { position, lengthBytes } = range
  const found: BadRange[] = []
  const file = fromPosition(disk.file(range.file.path), position)
  await auditBatches(
    {
      file,
      baseOffset: firstOffset,
      // A file that became shorter lacks what the range has.
      sizeBytes: Math.max(lengthBytes, Math.min(await file.size(), lengthBytes + lookBehindBytes)),
      endOffset: null,
      mayHaveGaps: true,
      epochs: null,
      epochsEnd: 0,
    },
    checksum,
    {
      bad: (bad) => {
        // What lies behind the range may still be being written.
        if (bad.position >= lengthBytes) return
        found.push({ ...bad, position: bad.position + position, end: bad.end + position })
      },
    },
  )
  return found
}

/** A file as it looks from `start` on. */
export function fromPosition(file: DiskFile, start: number): DiskFile {
  return {
    path: file.path,
    read: (target, position) => file.read(target, start + position),
    size: async () => (await file.size()) - start,
    truncate: (sizeBytes) => file.truncate(start + sizeBytes),
    sync: () => file.sync(),
    close: () => file.close(),
  }
}
