import { EngineError } from '../model/errors.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { readTextIfThere } from './checkpointFile.ts'

/** Name of the file in a data directory that says where its journal is. */
export const journalPlaceFile = '.cordwood_journal'

/**
 * Throws unless a data directory's journal is in `directory`, or it has none yet: without its journal a data
 * directory lacks what was acknowledged last. `invalidConfig` when it is elsewhere, `corruptLog` when it is gone.
 */
export async function checkJournalPlace(
  runtime: Runtime,
  dataDirectory: string,
  directory: string,
): Promise<void> {
  const noted = (await readTextIfThere(runtime.disk, `${dataDirectory}/${journalPlaceFile}`))?.trim()
  if (noted === undefined || (await hasJournal(runtime, directory))) return
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
  const path = `${dataDirectory}/${journalPlaceFile}`
  const noted = (await readTextIfThere(runtime.disk, path))?.trim()
  if (noted !== directory) await runtime.disk.replaceFile(path, Buffer.from(`${directory}\n`))
}

async function hasJournal(runtime: Runtime, directory: string): Promise<boolean> {
  for (const name of ['checkpoint-0', 'checkpoint-1']) {
    if ((await runtime.disk.stat(`${directory}/${name}`)) !== null) return true
  }
  return false
}
