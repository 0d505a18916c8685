import { cpSync, rmSync } from 'node:fs'

/**
 * Copies a directory that may be in use, without its locks: what a process that dies now leaves. Anew, where something goes
 * while it is copied.
 */
export function copyDirectory(from: string, to: string): void {
  for (let attempt = 1; ; attempt++) {
    try {
      cpSync(from, to, { recursive: true, filter: (path) => !/\/\.lock[^/]*$/.test(path) })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === 100) throw error
      rmSync(to, { recursive: true, force: true })
    }
  }
}
