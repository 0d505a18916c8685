import { readdirSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import type { Disk } from '../../src/runtime/disk.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { createRuntime, type NamedRuntime, type RuntimeOptions } from '../../src/zerocopy/nativeRuntime.ts'

/** Makes a runtime that is closed when the running test ends. */
export type CreateRuntime = (options?: RuntimeOptions) => NamedRuntime

/** Makes a disk that is closed when the running test ends, and on which `directory` is there. */
export type CreateDisk = (options?: RuntimeOptions, directory?: string) => { readonly disk: Disk }

/** Makes a network and the disk that it sends files of, which are closed when the running test ends. */
export type CreateNetwork = () => Pick<Runtime, 'disk' | 'network'>

/** One implementation of the seam, under the name that tests show. */
export interface Implementation {
  readonly name: string
  readonly create: CreateRuntime
}

/** The addon has to work wherever it has been built, and always in continuous integration. */
const addonIsExpected =
  process.env.CI === 'true' ||
  (process.env.CORDWOOD_NATIVE !== '0' &&
    readdirSync(new URL('../../native', import.meta.url)).some((name) => name.endsWith('.node')))

/** Every implementation that this machine has to have. */
export const implementations: readonly Implementation[] = [
  { name: 'portable', create: creating(false) },
  ...(addonIsExpected ? [{ name: 'native', create: creating(true) }] : []),
]

function creating(native: boolean): CreateRuntime {
  return (options = {}) => {
    const runtime = createRuntime({ ...options, native })
    onTestFinished(() => runtime.disk.close())
    return runtime
  }
}
