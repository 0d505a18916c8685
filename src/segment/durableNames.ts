import { EngineError } from '../model/errors.ts'
import type { Disk } from '../runtime/disk.ts'

/**
 * Makes a directory and its parents as far as they are not there, and has all their names survive the loss of power: else that
 * takes all that is in it. Names that are there already may be those of a start that was killed before it came to that.
 */
export async function makeDurably(disk: Disk, directory: string): Promise<void> {
  await disk.makeDirectory(directory)
  for (const parent of parentsOf(directory)) {
    try {
      await disk.syncDirectory(parent)
    } catch (error) {
      // Where this user may not even look it has made nothing.
      if (!(error instanceof EngineError) || error.code !== 'permissionDenied') throw error
    }
  }
}

/** The directory that `path` is in; slashes at the end of a path say nothing. */
export function parentOf(path: string): string {
  const trimmed = withoutSlash(path)
  const at = trimmed.lastIndexOf('/')
  return at > 0 ? withoutSlash(trimmed.slice(0, at)) : at === 0 ? '/' : '.'
}

/** `path` without slashes at its end. */
export function withoutSlash(path: string): string {
  return path.replace(/(?<=.)\/+$/, '')
}

function parentsOf(directory: string): string[] {
  const parents: string[] = []
  for (let path = directory; path !== '/' && path !== '.'; ) {
    path = parentOf(path)
    parents.push(path)
  }
  return parents
}
