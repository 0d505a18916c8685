import { link, mkdir, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { EngineError } from '../../model/errors.ts'
import type { DirectoryEntry, FileStat } from '../disk.ts'
import { syncDirectory } from './fileWriter.ts'
import { limited } from './limited.ts'
import { diskError, nameSyncError, systemCode } from './systemErrors.ts'

/** Each of what is called has descriptors while it runs; of a thousand at once some would get none. */
const withDescriptor = limited(64)

/** Replacements that are under way, by path. */
const replacements = new Map<string, Promise<void>>()

/** The operations of `Disk` on names rather than bytes, for every implementation over Node. */
export const directories = {
  async makeDirectory(path: string): Promise<void> {
    try {
      await makeWithParents(path)
    } catch (cause) {
      throw diskError(cause, `cannot make the directory ${path}`)
    }
  },

  async list(path: string): Promise<readonly DirectoryEntry[]> {
    try {
      const entries = await withDescriptor(() => readdir(path, { withFileTypes: true }))
      return entries
        .map((entry) => ({ name: entry.name, kind: kindOf(entry) }))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    } catch (cause) {
      throw diskError(cause, `cannot list ${path}`)
    }
  },

  async stat(path: string): Promise<FileStat | null> {
    try {
      const found = await stat(path)
      return { kind: kindOf(found), sizeBytes: found.size, modifiedMs: Math.trunc(found.mtimeMs) }
    } catch (cause) {
      const code = systemCode(cause)
      if (code === 'ENOENT' || code === 'ENOTDIR') return null
      throw diskError(cause, `cannot look at ${path}`)
    }
  },

  async rename(from: string, to: string): Promise<void> {
    try {
      await rename(from, to)
    } catch (cause) {
      throw diskError(cause, `cannot rename ${from} to ${to}`)
    }
  },

  /** Gives a file a second name, `to`; true. Where files have only one it is renamed: false. */
  async linkOrRename(from: string, to: string): Promise<boolean> {
    try {
      await link(from, to)
      return true
    } catch (cause) {
      if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(systemCode(cause) ?? '')) {
        throw diskError(cause, `cannot rename ${from} to ${to}`)
      }
    }
    await directories.rename(from, to)
    return false
  },

  async remove(path: string): Promise<void> {
    try {
      await rm(path, { recursive: true, force: true })
    } catch (cause) {
      throw diskError(cause, `cannot remove ${path}`)
    }
  },

  async syncDirectory(path: string): Promise<void> {
    try {
      await withDescriptor(() => syncDirectory(path))
    } catch (cause) {
      throw nameSyncError(cause, `cannot sync the directory ${path}`)
    }
  },

  async readFile(path: string, maxBytes = 64 << 20): Promise<Uint8Array> {
    try {
      const { size } = await stat(path)
      if (size > maxBytes) {
        throw new EngineError(
          'unsupportedFormat',
          `${path} has ${size} bytes; at most ${maxBytes} are read at once`,
        )
      }
      return await withDescriptor(() => readFile(path))
    } catch (cause) {
      throw diskError(cause, `cannot read ${path}`)
    }
  },

  replaceFile(path: string, bytes: Uint8Array): Promise<void> {
    // One after the other: all replacements of a file go through the same temporary file.
    const before = replacements.get(path) ?? Promise.resolve()
    const replaced = before.then(
      () => withDescriptor(() => replaceFile(path, bytes)),
      () => withDescriptor(() => replaceFile(path, bytes)),
    )
    replacements.set(path, replaced)
    const forget = (): void => {
      if (replacements.get(path) === replaced) replacements.delete(path)
    }
    replaced.then(forget, forget)
    return replaced
  },

  async space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    try {
      const found = await statfs(path)
      return { freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize }
    } catch (cause) {
      throw diskError(cause, `cannot measure the space of ${path}`)
    }
  },
} as const

function kindOf(found: { isFile(): boolean; isDirectory(): boolean }): DirectoryEntry['kind'] {
  if (found.isFile()) return 'file'
  return found.isDirectory() ? 'directory' : 'other'
}

async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`
  try {
    const file = await open(temporary, 'w', 0o644)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {})
    throw diskError(cause, `cannot replace ${path}`)
  }
}

/** Node's own recursive form never returns where a parent refuses with "not found", as /proc does. */
async function makeWithParents(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    if (code !== 'ENOENT' || dirname(path) === path) throw error
    await makeWithParents(dirname(path))
    await mkdir(path).catch((cause: unknown) => {
      // Somebody else may have made it meanwhile.
      if (systemCode(cause) !== 'EEXIST') throw cause
    })
  }
}
