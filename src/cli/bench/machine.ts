import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { arch, cpus, release, totalmem, type } from 'node:os'
import { resolve } from 'node:path'

/** What figures have to be read with. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
  /** Type of the file system that was written to, such as `ext4`. */
  readonly fileSystem: string
  readonly freeBytes: number
}

/** Describes this machine and the file system of `directory`. */
export async function describeMachine(directory: string): Promise<Machine> {
  const all = cpus()
  const { bavail, bsize } = await statfs(directory)
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    fileSystem: fileSystemOf(resolve(directory)),
    freeBytes: bavail * bsize,
  }
}

/** The type of the file system that is mounted nearest above `path`. */
function fileSystemOf(path: string): string {
  try {
    const mounts = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([, at]) => at !== undefined && `${path}/`.startsWith(at === '/' ? '/' : `${at}/`))
    return mounts.sort((left, right) => right[1]!.length - left[1]!.length)[0]?.[2] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}
