import { EngineError } from '../model/errors.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { readTextIfThere } from './checkpointFile.ts'

/** Name of the file in a data directory that says where its journal is. */
export const journalPlaceFile = '.cordwood_journal'

/** Where the journal of a data directory is unless somebody says something else: it moves with the directory. */
export const defaultJournalName = '.journal'

/** Where the journal of a data directory was when it was last open; null when it has had none. */
export async function notedJournalPlace(runtime: Runtime, dataDirectory: string): Promise<string | null> {
  return (await readNote(runtime, dataDirectory)).place
}

/** What a data directory says of its journal. */
interface JournalNote {
  readonly place: string | null
  /** The number of a checkpoint that was durable; 0 where none is noted. */
  readonly checkpoint: number
}

async function readNote(runtime: Runtime, dataDirectory: string): Promise<JournalNote> {
  const text = await readTextIfThere(runtime.disk, `${dataDirectory}/${journalPlaceFile}`)
  const [place = '', checkpoint = ''] = (text ?? '').trim().split('\n')
  const number = Number(/^checkpoint (\d{1,15})$/.exec(checkpoint)?.[1] ?? 0)
  if (place === '') return { place: null, checkpoint: 0 }
  return {
    place: place === defaultJournalName ? `${dataDirectory}/${defaultJournalName}` : place,
    checkpoint: number,
  }
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

/**
 * Throws `corruptLog` when the journal in `directory`, whose last checkpoint has this number, is an earlier state of the one
 * that the data directory knows: a copy of it was brought back, and what was acknowledged since is not there.
 */
export async function checkJournalAge(
  runtime: Runtime,
  dataDirectory: string,
  directory: string,
  checkpoint: number,
): Promise<void> {
  const noted = await readNote(runtime, dataDirectory)
  // One of two copies may be damaged, and the other one not be written yet.
  if (noted.place === null || checkpoint >= noted.checkpoint - 1) return
  throw new EngineError(
    'corruptLog',
    `the journal in ${directory} is an older copy of the one that ${dataDirectory} had: it ends at checkpoint ` +
      `${checkpoint}, not at ${noted.checkpoint} or later; bring the right one back, or remove ` +
      `${dataDirectory}/${journalPlaceFile} to go on without what only that one held`,
  )
}

/** Notes, durably, where the journal is and the number of its last checkpoint, which is durable. */
export async function noteJournalPlace(
  runtime: Runtime,
  dataDirectory: string,
  directory: string,
  checkpoint: number,
): Promise<void> {
  const noted = await readNote(runtime, dataDirectory)
  if (noted.place === directory && noted.checkpoint === checkpoint) return
  const place = directory === `${dataDirectory}/${defaultJournalName}` ? defaultJournalName : directory
  const text = `${place}\ncheckpoint ${checkpoint}\n`
  try {
    await runtime.disk.replaceFile(`${dataDirectory}/${journalPlaceFile}`, Buffer.from(text))
  } catch (error) {
    // An earlier number does as well, and a full disk may be freed by whom the start lets in.
    const isFull = error instanceof EngineError && error.code === 'diskFull'
    if (!isFull || noted.place !== directory) throw error
  }
}

async function hasJournal(runtime: Runtime, directory: string): Promise<boolean> {
  for (const name of ['checkpoint-0', 'checkpoint-1']) {
    if ((await runtime.disk.stat(`${directory}/${name}`)) !== null) return true
  }
  return false
}
