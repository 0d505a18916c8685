import type { Logger } from '../model/logger.ts'
import { randomUuid, type Uuid } from '../model/uuid.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { readTextIfThere } from './checkpointFile.ts'
import { removeDeleted, removeLater } from './deadDirectories.ts'
import { notedJournalPlace } from './journalPlace.ts'
import type { LogDirectoryOptions } from './logDirectoryOptions.ts'
import {
  encodeMetaProperties,
  type MetaProperties,
  metaPropertiesFile,
  openMetaProperties,
} from './metaProperties.ts'

/** Name of the file that says that a data directory is to begin anew, or has. */
const noteFile = '.cordwood_rebuilt'
/** What was there before is kept under a name that begins like this. */
const asidePrefix = '.set-aside.'
/** How long it is kept: a week, in milliseconds. */
const keptMs = 7 * 86_400_000

/** Another node, as the directory knew it. */
interface KnownNode {
  readonly id: number
  readonly host: string
  readonly port: number
}

/** That a data directory begins anew, and why. */
export interface NewBeginning {
  /** `ordered`: the next opening does it. */
  readonly state: 'ordered' | 'done'
  readonly reason: string
  /** Wall clock, in milliseconds. */
  readonly atMs: number
  readonly clusterId: string
  readonly nodeId: number
  /** The new one. */
  readonly directoryId: Uuid
  /** Name of the directory inside the data directory that has what was there. */
  readonly aside: string
  /** Who decides in the cluster: they take the node up again. */
  readonly others: readonly KnownNode[]
}

/**
 * Has the next opening of a data directory put everything aside that is in it, and begin with another directory id: what it holds
 * cannot be trusted, and others have it. Durable when it resolves.
 */
export async function orderNewBeginning(
  { disk, random, clock }: Pick<Runtime, 'disk' | 'random' | 'clock'>,
  directory: string,
  node: Pick<NewBeginning, 'reason' | 'clusterId' | 'nodeId' | 'others'>,
): Promise<void> {
  const directoryId = randomUuid(random)
  const aside = `${asidePrefix}${directoryId}`
  await writeNote({ disk }, directory, {
    state: 'ordered',
    ...node,
    atMs: clock.wallMs(),
    directoryId,
    aside,
  })
}

/** What is noted of a new beginning of a data directory; null for nothing that can be read. */
export async function readNewBeginning(
  runtime: Pick<Runtime, 'disk'>,
  directory: string,
): Promise<NewBeginning | null> {
  const text = await readTextIfThere(runtime.disk, `${directory}/${noteFile}`)
  if (text === null) return null
  try {
    const { state, reason, atMs, clusterId, nodeId, directoryId, aside, others } = JSON.parse(
      text,
    ) as NewBeginning
    const isSound =
      (state === 'ordered' || state === 'done') &&
      typeof clusterId === 'string' &&
      Number.isSafeInteger(nodeId) &&
      /^[\w-]{22}$/.test(directoryId) &&
      aside === `${asidePrefix}${directoryId}` &&
      Array.isArray(others)
    return isSound ? { state, reason, atMs, clusterId, nodeId, directoryId, aside, others } : null
  } catch {
    return null
  }
}

/** `openMetaProperties`, after a new beginning if one is ordered. To be called with the lock, before anything else is read. */
export async function openIdentity(
  runtime: Runtime,
  { directory, nodeId, clusterId, journalDirectory, logger }: LogDirectoryOptions,
): Promise<MetaProperties> {
  await beginAnew(runtime, directory, journalDirectory ?? null, logger)
  return openMetaProperties(runtime, directory, nodeId, clusterId ?? null)
}

/** Whether a name in a data directory is of something that was put aside: no later start looks at it. */
export function isSetAside(name: string): boolean {
  return name.startsWith(asidePrefix)
}

/**
 * Carries out what was ordered, if anything was; as often as it is interrupted. The journal, wherever it is, goes with the rest. What
 * an earlier new beginning had put aside is removed.
 */
async function beginAnew(
  runtime: Runtime,
  directory: string,
  journalDirectory: string | null,
  logger: Logger,
): Promise<void> {
  const { disk } = runtime
  const found = await readNewBeginning(runtime, directory)
  if (found === null) return
  if (found.state === 'done') {
    removeInTime(runtime, directory, found, logger)
    return
  }
  const { aside, reason, directoryId, clusterId, nodeId } = found
  const place = journalDirectory ?? (await notedJournalPlace(runtime, directory))
  const moves = [directory, ...(place === null || place.startsWith(`${directory}/`) ? [] : [place])]
  for (const from of moves) {
    if ((await disk.stat(from)) === null) continue
    const to = `${from}/${aside}`
    await disk.makeDirectory(to)
    for (const { name } of await disk.list(from)) {
      if (isSetAside(name)) {
        if (name !== aside) await removeDeleted(disk, `${from}/${name}`, logger)
      } else if (!name.startsWith('.lock') && name !== noteFile && name !== metaPropertiesFile) {
        await disk.rename(`${from}/${name}`, `${to}/${name}`)
      }
    }
    await disk.syncDirectory(to)
    await disk.syncDirectory(from)
  }
  const path = `${directory}/${metaPropertiesFile}`
  const metaAside = `${directory}/${aside}/${metaPropertiesFile}`
  // An earlier attempt may have come further: then this is the new one.
  const meta = (await disk.stat(metaAside)) === null ? await readTextIfThere(disk, path) : null
  if (meta !== null) await disk.replaceFile(metaAside, Buffer.from(meta))
  await disk.replaceFile(path, Buffer.from(encodeMetaProperties({ clusterId, nodeId, directoryId })))
  const done: NewBeginning = { ...found, state: 'done' }
  await writeNote(runtime, directory, done)
  logger.error(
    'the data directory begins anew, as that of a new replica; what was in it is kept for a week',
    {
      directory,
      directoryId,
      reason,
      keptAs: `${directory}/${aside}`,
    },
  )
  removeInTime(runtime, directory, done, logger)
}

function removeInTime(
  runtime: Pick<Runtime, 'disk' | 'clock'>,
  directory: string,
  { atMs, aside }: NewBeginning,
  logger: Logger,
): void {
  const leftMs = Math.min(keptMs, Math.max(0, atMs + keptMs - runtime.clock.wallMs()))
  removeLater(runtime, `${directory}/${aside}`, leftMs, () => false, logger)
}

async function writeNote(
  { disk }: Pick<Runtime, 'disk'>,
  directory: string,
  note: NewBeginning,
): Promise<void> {
  await disk.replaceFile(`${directory}/${noteFile}`, Buffer.from(`${JSON.stringify(note)}\n`))
}
