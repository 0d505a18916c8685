import { EngineError } from '../model/errors.ts'
import type { DiskLock } from '../runtime/disk.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { readTextIfThere } from './checkpointFile.ts'
import { makeDurably } from './durableNames.ts'
import { metaPropertiesFile } from './metaProperties.ts'

const lockFile = '.lock'

/** Makes a directory if it is not there, and locks it. Throws `directoryLocked` and `permissionDenied`. */
export async function lockDirectory(runtime: Runtime, directory: string): Promise<DiskLock> {
  const { disk } = runtime
  try {
    // Its name is durable by the time something of ours is in it.
    if ((await disk.stat(`${directory}/${metaPropertiesFile}`)) === null) await makeDurably(disk, directory)
    return await disk.lock(`${directory}/${lockFile}`, await describeOwner(runtime))
  } catch (cause) {
    if (!(cause instanceof EngineError) || cause.code !== 'permissionDenied') throw cause
    const message = `${directory} is not writable; let this user write there, or name another directory`
    throw new EngineError('permissionDenied', message, { cause })
  }
}

/**
 * One line that tells a person who holds the lock of a data directory: process id, host name, the machine's
 * boot and when it was taken. In containers everyone is process 1; the host name tells them apart.
 */
async function describeOwner(runtime: Runtime): Promise<string> {
  const read = async (path: string): Promise<string | null> => {
    try {
      return (await readTextIfThere(runtime.disk, path))?.trim() ?? null
    } catch {
      return null // Only systems with /proc know; the lock does not depend on it.
    }
  }
  const [stat, host, boot] = await Promise.all([
    read('/proc/self/stat'),
    read('/proc/sys/kernel/hostname'),
    read('/proc/sys/kernel/random/boot_id'),
  ])
  const pid = stat?.split(' ', 1)[0] ?? 'unknown'
  const since = utcText(runtime.clock.wallMs())
  return `process ${pid} on host ${host ?? 'unknown'} (boot ${boot ?? 'unknown'}), since ${since}`
}

/** `2026-11-21 02:13:29 UTC` for milliseconds since 1970. Source: Howard Hinnant, "chrono-compatible date algorithms". */
function utcText(wallMs: number): string {
  const seconds = Math.floor(wallMs / 1000)
  const shifted = Math.floor(seconds / 86_400) + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const leaps = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096)
  const yearOfEra = Math.floor((dayOfEra - leaps) / 365)
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  const two = (value: number): string => String(value).padStart(2, '0')
  const ofDay = seconds - Math.floor(seconds / 86_400) * 86_400
  const time = [Math.floor(ofDay / 3600), Math.floor(ofDay / 60) % 60, ofDay % 60].map(two).join(':')
  return `${year}-${two(month)}-${two(day)} ${time} UTC`
}
