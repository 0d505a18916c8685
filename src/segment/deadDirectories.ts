import { EngineError, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { hexOf, randomUuid, type Uuid } from '../model/uuid.ts'
import type { Disk } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { retiredDirectoryName } from './directoryNames.ts'
import { partitionMetadataFile } from './fileNames.ts'

/**
 * A directory may be taken over only when it holds no records: its maker died before it could say whose it is. Throws
 * `corruptLog` when there are some.
 */
export async function checkUnused(disk: Disk, path: string): Promise<void> {
  for (const { name } of await disk.list(path)) {
    if (!name.endsWith('.log')) continue
    const found = await disk.stat(`${path}/${name}`)
    if (found === null || found.sizeBytes === 0) continue
    throw new EngineError(
      'corruptLog',
      `${path} holds records of an unknown topic; restore its ${partitionMetadataFile} or move it away`,
    )
  }
}

/**
 * Gives a log's directory the name of one that is to be removed, or kept aside, which ends with the journal's id of the log
 * where that is given; returns its path. Not durable yet.
 */
export async function retire(
  { disk, random }: Pick<Runtime, 'disk' | 'random'>,
  path: string,
  why: 'delete' | 'stray',
  logId: Uuid | null = null,
): Promise<string> {
  const slash = path.lastIndexOf('/') + 1
  const name = retiredDirectoryName(path.slice(slash), hexOf(logId ?? randomUuid(random)), why)
  const retired = `${path.slice(0, slash)}${name}`
  await disk.rename(path, retired)
  return retired
}

/** Removes the directory of a deleted log; what is left is reported, and removed at the next start. */
export async function removeDeleted(disk: Disk, path: string, logger: Logger): Promise<void> {
  try {
    await disk.remove(path)
  } catch (cause) {
    const error = toEngineError(cause, 'diskFailed', 'a deleted log could not be removed')
    logger.warn('files of a deleted log are still there; the next start removes them', {
      directory: path,
      error: error.message,
    })
  }
}

/** `removeDeleted` in `delayMs`, unless `isOver` by then. Keeps no process alive. */
export function removeLater(
  { disk, clock }: Pick<Runtime, 'disk' | 'clock'>,
  path: string,
  delayMs: number,
  isOver: () => boolean,
  logger: Logger,
): void {
  const timer = clock.setTimer(delayMs, () => {
    if (!isOver()) void removeDeleted(disk, path, logger)
  })
  timer.detach?.()
}
