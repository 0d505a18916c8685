import type { Uuid } from '../model/uuid.ts'
import type { DiskFile } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { JournalContent } from './journal/journalReplay.ts'
import { ReplayPlan } from './replayPlan.ts'
import { ReplayWriter } from './replayWriter.ts'
import { replaceByCopy } from './segmentRewrite.ts'

/**
 * Writes what the journal holds of the logs `ids` into new files, and syncs them: nobody goes on with these logs, and what
 * their own files say cannot be trusted. Afterwards the journal may let go of it. What lies below is copied as it is. Logs whose
 * directories are gone need nothing. Rejects with the disk's errors: then the journal has to be kept.
 */
export async function storeFromJournal(
  runtime: Runtime,
  directory: string,
  content: JournalContent,
  ids: ReadonlySet<Uuid>,
): Promise<void> {
  const { disk } = runtime
  const plan = new ReplayPlan()
  plan.begin(content)
  for await (const { entries } of content.frames()) plan.frame(entries)
  for (const { id, name } of [...plan.logs.values()]) {
    if (!ids.has(id) || (await disk.stat(`${directory}/${name}`)) === null) plan.logs.delete(id)
  }
  const renew = async (file: DiskFile, sizeBytes: number): Promise<void> => {
    await replaceByCopy(disk, file, sizeBytes, async () => {})
  }
  const writer = new ReplayWriter(runtime, directory, plan, renew)
  await writer.run(content, new Set(), new Map(), () => {})
  for (const error of writer.failed.values()) throw error
  for (const file of writer.written) await file.sync()
  for (const path of writer.directories) await disk.syncDirectory(path)
}
