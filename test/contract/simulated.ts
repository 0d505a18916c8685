import { onTestFinished } from 'vitest'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import type { CreateDisk } from './implementations.ts'

/** What the runtimes of one test share; a new one with each directory that is asked for. */
let fs = new SimFileSystem()

/** The simulated implementation of the seam; it has no network. */
export const simulated: { readonly name: string; readonly create: CreateDisk } = {
  name: 'simulated',
  create(options = {}, directory) {
    if (directory !== undefined) {
      fs = new SimFileSystem()
      for (const path of [...parentsOf(directory), '/proc']) fs.makeDirectory(path)
      fs.sealDirectory('/proc')
    }
    const runtime = createSimRuntime(fs, options)
    onTestFinished(() => runtime.disk.close())
    return runtime
  },
}

/** `/a`, `/a/b` and `/a/b/c` for `/a/b/c`. */
function parentsOf(path: string): string[] {
  const names = path.split('/').slice(1)
  return names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`)
}
