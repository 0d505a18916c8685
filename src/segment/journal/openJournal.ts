import { EngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import type { Runtime } from '../../runtime/runtime.ts'
import { parentOf } from '../durableNames.ts'
import { readUint32 } from '../integers.ts'
import { BlockReader } from './blockReader.ts'
import { blockBytes, readStamp } from './blocks.ts'
import { EntryReader, type JournalEntry } from './entries.ts'
import { decodeFileHeader, type FileHeader, journalFileNumber } from './fileHeader.ts'
import type { FoundFiles } from './journalFiles.ts'
import { JournalReplay, readEntries } from './journalReplay.ts'
import { JournalScan, type ScannedFile } from './journalScan.ts'
import {
  CheckpointFiles,
  checkpointNames,
  type JournalPlace,
  lostCheckpoint,
  type StoredCheckpoint,
} from './nodeCheckpoint.ts'
import { ReadPatience } from './readPatience.ts'

/** Told what the journal holds while it is read the first time, which saves reading it once more. */
export interface ReplayVisitor {
  /** `checkpoint` is what everything before the first frame amounts to; null in a new journal. */
  begin(checkpoint: StoredCheckpoint | null): void
  /** The entries of the next frame, whose bytes are valid during the call. */
  frame(entries: readonly JournalEntry[]): void
}

/** What the start has found out about a journal. */
export interface OpenedJournal {
  readonly checkpoints: CheckpointFiles
  readonly checkpoint: StoredCheckpoint
  readonly replay: JournalReplay
  readonly files: FoundFiles
  /** Where this life begins to write. */
  readonly place: JournalPlace
}

/** A file with what its first block says, if that can be read. */
interface ListedFile {
  readonly path: string
  readonly number: number
  readonly sizeBytes: number
  readonly header: FileHeader | null
}

/**
 * Reads the journal in `directory`, and makes sure that what it read is durable. Makes a new one where there is none.
 * Throws `directoryForeign` for one of another data directory, and `CorruptionError` when neither checkpoint can be read.
 */
export async function openJournalFiles(
  runtime: Runtime,
  directory: string,
  directoryId: Uint8Array,
  logger: Logger,
  visitor: ReplayVisitor | null,
): Promise<OpenedJournal> {
  await runtime.disk.makeDirectory(directory)
  const patience = new ReadPatience(runtime.clock)
  const listed = await listFiles(runtime, directory, patience)
  const checkpoints = new CheckpointFiles(runtime, directory)
  await settleCheckpoints(runtime, directory)
  const { checkpoint: stored, damaged } = await checkpoints.read(patience)
  if (stored === null && listed.length > 0) throw lostCheckpoint(directory)
  for (const path of damaged)
    logger.warn('a checkpoint of the journal is damaged; the other one counts', { path })
  const checkpoint = stored ?? (await createJournal(runtime, checkpoints, directory, directoryId))
  checkOwner(checkpoint, directory, directoryId, checkpoint.journalId)
  for (const { header, path } of listed) {
    if (header !== null) checkOwner(header, path, directoryId, checkpoint.journalId)
  }
  const found = await sortFiles(runtime, listed, checkpoint.replayFrom.generation, patience)
  await settleNewest(found.scanned)
  const { replayFrom, flushedSequence, journalId } = checkpoint
  const { checksum } = runtime
  const scan = new JournalScan(found.scanned, replayFrom, flushedSequence, journalId, checksum, patience)
  let frameCount = 0
  const reader = new EntryReader()
  visitor?.begin(stored)
  for await (const frame of scan.frames()) {
    frameCount++
    visitor?.frame(readEntries(frame, reader))
  }
  const { sequence, chain, life, verdict } = scan.end!
  // A file that is not there, or says nothing at all, may have been the end of the journal.
  const { usedGeneration } = checkpoint
  const isLost =
    usedGeneration >= replayFrom.generation &&
    !found.scanned.some(({ generation }) => generation === usedGeneration)
  const end = isLost || found.unreadable.length > 0 ? 'tearUnproven' : verdict.end
  const replay = new JournalReplay(scan, stored, frameCount, { ...verdict, end }, found.damaged)
  const isUnused = (file: ScannedFile): boolean =>
    file.generation > replayFrom.generation && !scan.isUsed(file)
  const lastGeneration = Math.max(
    replayFrom.generation - 1,
    ...found.scanned.map(({ generation }) => generation),
  )
  return {
    checkpoints,
    checkpoint,
    replay,
    files: {
      live: [...found.scanned.filter((file) => !isUnused(file)), ...found.unreadable],
      free: [...found.free, ...found.scanned.filter(isUnused)],
      lastGeneration,
      lastNumber: Math.max(0, ...listed.map(({ number }) => number)),
    },
    place: {
      sequence,
      chain,
      generation: lastGeneration + 1,
      position: blockBytes,
      life: Math.max(life, scan.latestLife) + 1,
    },
  }
}

async function listFiles(runtime: Runtime, directory: string, patience: ReadPatience): Promise<ListedFile[]> {
  const { disk, checksum } = runtime
  const files: ListedFile[] = []
  for (const { name, kind } of await disk.list(directory)) {
    const path = `${directory}/${name}`
    if (kind === 'file' && name.endsWith('.tmp') && journalFileNumber(name.slice(0, -4)) !== null) {
      await disk.remove(path)
    }
    const number = journalFileNumber(name)
    if (kind !== 'file' || number === null) continue
    const file = disk.file(path)
    const sizeBytes = await file.size()
    const reader = new BlockReader(file, sizeBytes, patience, new Uint8Array(blockBytes))
    const block = await reader.read(0, blockBytes)
    files.push({ path, number, sizeBytes, header: decodeFileHeader(block, checksum) })
  }
  return files
}

async function createJournal(
  runtime: Runtime,
  checkpoints: CheckpointFiles,
  directory: string,
  directoryId: Uint8Array,
): Promise<StoredCheckpoint> {
  const journalId = new Uint8Array(16)
  runtime.random.fill(journalId)
  const chain = runtime.checksum.crc32c(journalId)
  const checkpoint: StoredCheckpoint = {
    number: 1,
    directoryId,
    journalId,
    replayFrom: { sequence: 1, generation: 1, position: blockBytes, chain, life: 0 },
    flushedSequence: 0,
    usedGeneration: 0,
    clean: true,
    doubts: 0,
    logs: [],
  }
  await checkpoints.write(checkpoint)
  await runtime.disk.syncDirectory(parentOf(directory))
  return checkpoint
}

function checkOwner(
  found: { readonly directoryId: Uint8Array; readonly journalId: Uint8Array },
  path: string,
  directoryId: Uint8Array,
  journalId: Uint8Array,
): void {
  if (Buffer.compare(found.directoryId, directoryId) !== 0) {
    throw new EngineError('directoryForeign', `${path} belongs to the journal of another data directory`)
  }
  if (Buffer.compare(found.journalId, journalId) !== 0) {
    throw new EngineError('directoryForeign', `${path} belongs to another journal`)
  }
}

interface SortedFiles {
  readonly scanned: readonly ScannedFile[]
  readonly free: readonly ScannedFile[]
  /** Files without a single block that verifies. */
  readonly unreadable: readonly ScannedFile[]
  /** Paths of files whose first block is damaged, and of those that are shorter than they were made. */
  readonly damaged: readonly string[]
}

async function sortFiles(
  runtime: Runtime,
  listed: readonly ListedFile[],
  generation: number,
  patience: ReadPatience,
): Promise<SortedFiles> {
  const scanned: ScannedFile[] = []
  const free: ScannedFile[] = []
  const unreadable: ScannedFile[] = []
  const damaged: string[] = []
  for (const { path, number, sizeBytes, header } of listed) {
    const file = runtime.disk.file(path)
    const known = header ?? {
      generation: await newestGeneration(runtime, path, sizeBytes, patience),
      fileBytes: sizeBytes,
    }
    if (header === null) damaged.push(path)
    const fileBytes = Math.max(blockBytes, Math.floor(known.fileBytes / blockBytes) * blockBytes)
    const scannedFile: ScannedFile = {
      path,
      number,
      file,
      sizeBytes,
      fileBytes,
      generation: known.generation,
    }
    // Freed by the next checkpoint, like everything from before it.
    if (known.generation === nothingReadable) unreadable.push({ ...scannedFile, generation })
    else if (known.generation < generation) free.push(scannedFile)
    else {
      scanned.push(scannedFile)
      // A file has all its bytes before it has its name: no crash takes any of them, nobody knows what was in them.
      if (sizeBytes < fileBytes) damaged.push(path)
    }
  }
  scanned.sort((a, b) => a.generation - b.generation)
  return { scanned, free, unreadable, damaged }
}

const nothingReadable = -1

/** The newest generation of any block of a file whose first block is damaged. */
async function newestGeneration(
  runtime: Runtime,
  path: string,
  sizeBytes: number,
  patience: ReadPatience,
): Promise<number> {
  const reader = new BlockReader(runtime.disk.file(path), sizeBytes, patience, null)
  let newest = nothingReadable
  for (let at = blockBytes; at + blockBytes <= sizeBytes; at += blockBytes) {
    const block = await reader.read(at, blockBytes)
    if (readUint32(block, 4) <= newest) continue
    const stamp = readStamp(block, 0, runtime.checksum)
    if (stamp !== null) newest = stamp.generation
  }
  return newest
}

/**
 * Makes sure that the checkpoints that will be read are on the disk: one that a dead process has left in the page cache
 * must not let go of files, since the power may still take it back.
 */
async function settleCheckpoints({ disk }: Runtime, directory: string): Promise<void> {
  for (const name of checkpointNames) {
    const file = disk.file(`${directory}/${name}`)
    if ((await disk.stat(file.path)) === null) continue
    await file.sync()
    await file.dropCached?.()
  }
  await disk.syncDirectory(directory)
  await disk.syncDirectory(parentOf(directory))
}

/** Which files the frames of the last moments can be in: the one that was written, the next one, those just before. */
const newestFiles = 4

/**
 * Makes sure that what will be read from the newest files is on the disk and not only in the page cache. Older files are
 * followed by frames which say that theirs are durable.
 */
async function settleNewest(files: readonly ScannedFile[]): Promise<void> {
  for (const { file } of files.slice(-newestFiles)) {
    await file.sync()
    await file.dropCached?.()
  }
}
