import { EngineError } from '../model/errors.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { readTextIfThere } from './checkpointFile.ts'

/** Name of the file in a data directory that says where its journal is. */
export const journalPlaceFile = '.cordwood_journal'

/** Where the journal of a data directory is unless somebody says something else: it moves with the directory. */
export const defaultJournalName = '.journal'

/** Where the journal of a data directory was when it was last open; null when it has had none. */
export async function notedJournalPlace(runtime: Runtime, dataDirectory: string): Promise<string | null> {
  const noted = (await readTextIfThere(runtime.disk, `${dataDirectory}/${journalPlaceFile}`))?.trim() ?? null
  return noted === defaultJournalName ? `${dataDirectory}/${defaultJournalName}` : noted
}

/**
 * Throws unless a data directory's journal is in `directory`, or it has none yet: without its journal a data
 * directory lacks what was acknowledged last. `invalidConfig` when it is elsewhere, `corruptLog` when it is gone.
 */
export async function checkJournalPlace(
  runtime: Runtime,
  dataDirectory: string,
  directory: string,
): Promise<void> {
  const noted = await notedJournalPlace(runtime, dataDirectory)
  if (noted === null || (await hasJournal(runtime, directory))) return
  if (noted !== directory && (await hasJournal(runtime, noted))) {
    throw new EngineError(
      'invalidConfig',
      `the journal of ${dataDirectory} is in ${noted}, not in ${directory}; name that directory, or move its files there`,
    )
  }
  throw new EngineError(
    'corruptLog',
    `the journal of ${dataDirectory} is not in ${noted} any more; bring it back, or remove ` +
      `${dataDirectory}/${journalPlaceFile} to go on without what only the journal held`,
  )
}

/** Notes where the journal is, durably. */
export async function noteJournalPlace(
  runtime: Runtime,
  dataDirectory: string,
  directory: string,
): Promise<void> {
  if ((await notedJournalPlace(runtime, dataDirectory)) === directory) return
  const place = directory === `${dataDirectory}/${defaultJournalName}` ? defaultJournalName : directory
  await runtime.disk.replaceFile(`${dataDirectory}/${journalPlaceFile}`, Buffer.from(`${place}\n`))
}

async function hasJournal(runtime: Runtime, directory: string): Promise<boolean> {
  for (const name of ['checkpoint-0', 'checkpoint-1']) {
    if ((await runtime.disk.stat(`${directory}/${name}`)) !== null) return true
  }
  return false
}
