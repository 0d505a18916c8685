import { accessSync, closeSync, constants, openSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { messageOf } from '../model/errors.ts'
import { UsageError } from './failure.ts'

/** A file that a command writes at its end: who asked for it, and where it is to be. */
export interface OutputFile {
  readonly flag: string
  readonly path: string | undefined
}

/** Throws `UsageError` for the first that cannot be written: better before the work than after it. Leaves nothing behind. */
export function checkOutputs(files: readonly OutputFile[]): void {
  for (const { flag, path } of files) {
    if (path === undefined) continue
    try {
      checkWritable(path)
    } catch (error) {
      throw new UsageError(`cannot write ${flag} ${path}: ${reasonOf(error)}`)
    }
  }
}

/** Writes each file that was asked for, also when another one cannot be written; throws the first failure at the end. */
export function writeOutputs(files: readonly (OutputFile & { readonly text: () => string })[]): void {
  const failures: Error[] = []
  for (const { flag, path, text } of files) {
    if (path === undefined) continue
    try {
      writeFileSync(path, text())
    } catch (error) {
      failures.push(new Error(`cannot write ${flag} ${path}: ${reasonOf(error)}`, { cause: error }))
    }
  }
  if (failures.length > 0) throw failures[0]
}

function checkWritable(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.isDirectory()) throw new Error('it is a directory')
  if (found === undefined) {
    // Whether a file can be made is only known by making it.
    closeSync(openSync(path, 'wx'))
    rmSync(path)
  } else accessSync(path, constants.W_OK)
}

/** Why, without the path once more. */
function reasonOf(error: unknown): string {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'its directory is not there',
    EACCES: 'this user may not',
    EROFS: 'the file system is read-only',
    ENOSPC: 'the disk is full',
  }
  return reasons[(error as NodeJS.ErrnoException).code ?? ''] ?? messageOf(error)
}
