import { accessSync, constants, existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { BrokerConfig } from '../broker/brokerConfig.ts'
import { EngineError } from '../model/errors.ts'
import { formatAddress } from './options.ts'

/** A directory that `serve` writes to, and the option that names another one. */
interface Place {
  readonly path: string
  readonly flag: string
}

type Places = Pick<BrokerConfig, 'listen' | 'directory' | 'journalDirectory'>

/** `error` with what to do about it, where the engine cannot know the flags. `isWritable` says what this user may. */
export function withAdvice(error: unknown, config: Places, isWritable = mayWrite): unknown {
  if (!(error instanceof EngineError)) return error
  // A directory may have a short name, such as ".".
  const found = error.message.startsWith('cannot listen') ? null : placeIn(error.message, config)
  const place = found ?? { path: config.directory, flag: '--directory' }
  if (found !== null && error.code === 'permissionDenied') return notWritable(error, found, isWritable)
  const advice: Partial<Record<EngineError['code'], string>> = {
    addressInUse: 'stop it, or choose another port with --listen',
    networkException: `choose an address of this machine with --listen (this is ${formatAddress(config.listen)})`,
    permissionDenied: 'choose another port with --listen',
    directoryLocked: 'stop that process, or choose another --directory',
    notFound: `check ${place.path}, or choose another ${place.flag}`,
    diskFailed: `check ${place.path}, or choose another ${place.flag}`,
    diskFull: `make room on the disk of ${place.path}`,
  }
  const text = advice[error.code]
  return text === undefined
    ? error
    : new EngineError(error.code, `${error.message}; ${text}`, { cause: error })
}

/** The directory that a message names; of two, one in the other, the inner one. */
function placeIn(message: string, { directory, journalDirectory }: Places): Place | null {
  const places = [{ path: directory, flag: '--directory' }]
  if (journalDirectory !== null) places.push({ path: journalDirectory, flag: '--journal-directory' })
  return (
    places
      .filter(({ path }) => message.includes(path))
      .sort((left, right) => right.path.length - left.path.length)[0] ?? null
  )
}

/** Says it once, and of a directory that is not there which one it cannot be made in. */
function notWritable(error: EngineError, { path, flag }: Place, isWritable: typeof mayWrite): EngineError {
  let existing = path
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing)
  const what =
    existing !== path
      ? `cannot make ${path}: ${existing} is not writable`
      : isWritable(path) && !error.message.startsWith(`${path} is not writable`)
        ? error.message
        : `${path} is not writable`
  const text = `${what}; let this user write there, or choose another ${flag}`
  return new EngineError(error.code, text, { cause: error })
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}
