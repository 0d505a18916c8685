import { EngineError, type EngineErrorName, messageOf } from '../../model/errors.ts'

/** What the engine calls an error of the file system; everything else is `diskFailed`. */
const diskCodes: Readonly<Record<string, EngineErrorName>> = {
  ENOSPC: 'diskFull',
  EDQUOT: 'diskFull',
  EFBIG: 'diskFull',
  // Only ever of opening: like a full disk it passes, and the bytes have gone nowhere.
  EMFILE: 'diskFull',
  ENFILE: 'diskFull',
  ENOENT: 'notFound',
  ENOTDIR: 'notFound',
  EEXIST: 'notFound',
  EACCES: 'permissionDenied',
  EPERM: 'permissionDenied',
  EROFS: 'permissionDenied',
}

/** What the engine calls an error of a socket; everything else is `networkException`. */
const networkCodes: Readonly<Record<string, EngineErrorName>> = {
  EADDRINUSE: 'addressInUse',
  EACCES: 'permissionDenied',
  EPERM: 'permissionDenied',
}

/** The system's name of an error (`ENOENT`), or null. */
export function systemCode(cause: unknown): string | null {
  const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : null
}

/** An error of a file operation as an `EngineError` that names what was attempted. */
export function diskError(cause: unknown, attempt: string): EngineError {
  if (cause instanceof EngineError) return cause
  const code = systemCode(cause)
  return new EngineError((code && diskCodes[code]) || 'diskFailed', `${attempt}: ${reason(cause, code)}`, {
    cause,
  })
}

/** Whether a file could not be opened for want of descriptors. */
export function isOutOfDescriptors(cause: unknown): boolean {
  const code = systemCode(cause)
  return code === 'EMFILE' || code === 'ENFILE'
}

/** An error of a sync: `diskFailed` also when there was no room, for what was written before may be gone. */
export function syncError(cause: unknown, attempt: string): EngineError {
  const error = diskError(cause, attempt)
  return error.code === 'diskFull' ? new EngineError('diskFailed', error.message, { cause }) : error
}

/** An error of the sync of a directory: `diskFull` only where it was not tried, since it could not be opened. */
export function nameSyncError(cause: unknown, attempt: string): EngineError {
  return isOutOfDescriptors(cause) ? diskError(cause, attempt) : syncError(cause, attempt)
}

/** An error of a socket as an `EngineError` that names what was attempted. */
export function networkError(cause: unknown, attempt: string): EngineError {
  if (cause instanceof EngineError) return cause
  const code = systemCode(cause)
  const name = (code && networkCodes[code]) || 'networkException'
  return new EngineError(name, `${attempt}: ${reason(cause, code)}`, { cause })
}

function reason(cause: unknown, code: string | null): string {
  const sentence = code === null ? undefined : sentences[code]
  if (sentence !== undefined) return `${sentence} (${code})`
  return messageOf(cause)
}

const sentences: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file would be larger than the system allows',
  ENOENT: 'there is no such file or directory',
  ENOTDIR: 'a part of the path is not a directory',
  EEXIST: 'there is a file of that name, which is no directory',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
  EIO: 'input or output error of the disk',
  EMFILE: 'this process has too many open files',
  ENFILE: 'the system has too many open files',
  EADDRINUSE: 'another program uses this address',
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'the other side closed the connection',
  EPIPE: 'the other side closed the connection',
}
