import type { Logger } from '../../src/model/logger.ts'
import type { Log, LogConfig } from '../../src/segment/log.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'
import { append, batchOf, openLog, testConfig } from './support.ts'

/** Small segments, with an index entry each few batches. */
export const config: LogConfig = { ...testConfig, segmentBytes: 500, indexIntervalBytes: 100 }

/** A log that was built, and what is in it. */
export interface Built {
  readonly directory: string
  readonly values: readonly string[]
  /** Value and file of each batch; one record each, offsets 0, 1, … */
  readonly ends: readonly { readonly file: string; readonly position: number; readonly end: number }[]
  readonly recoveryPoint: number
}

/** A log of `count` one-record batches in several segments, as a crash leaves it. */
export async function build(count: number): Promise<Built> {
  const directory = temporaryDirectory()
  const log = await openLog(directory, { config })
  const values: string[] = []
  const ends: { file: string; position: number; end: number }[] = []
  for (let offset = 0; offset < count; offset++) {
    values.push(`value ${offset} ${'.'.repeat((offset * 7) % 40)}`)
    await append(log, batchOf([values[offset]!]), 1)
    const { position, lengthBytes, file } = (
      (await log.read(offset, 1, offset + 1, true)) as {
        ranges: readonly { position: number; lengthBytes: number; file: { path: string } }[]
      }
    ).ranges[0]!
    ends.push({ file: file.path.slice(directory.length + 1), position, end: position + lengthBytes })
  }
  await log.prepareCheckpoint()
  await log.close({ clean: false })
  return { directory, values, ends, recoveryPoint: log.recoveryPoint }
}

/** Opens what a crash has left of a log. */
export async function reopen(directory: string, recoveryPoint: number, logger?: Logger): Promise<Log> {
  return openLog(directory, { config, recoveryPoint, ...(logger === undefined ? {} : { logger }) })
}

/** A logger, and the messages it was given. */
export function lines(): { readonly logger: Logger; readonly seen: string[] } {
  const seen: string[] = []
  const say = (message: string): void => {
    seen.push(message)
  }
  return { seen, logger: { debug: say, info: say, warn: say, error: say } }
}
