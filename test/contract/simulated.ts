import { dirname } from 'node:path'
import { onTestFinished } from 'vitest'
import { eachTurn } from '../../src/runtime/node/turn.ts'
import { EventQueue } from '../../src/testing/eventQueue.ts'
import { SimFileSystem } from '../../src/testing/simFileSystem.ts'
import { SimNetwork } from '../../src/testing/simNetwork.ts'
import { SimRandom } from '../../src/testing/simRandom.ts'
import { createSimRuntime } from '../../src/testing/simRuntime.ts'
import type { DiskFaults } from '../../src/testing/systemCalls.ts'
import type { CreateDisk, CreateNetwork } from './implementations.ts'

/** What the runtimes of one test share; a new one with each directory that is asked for. */
let fs = new SimFileSystem()

/** The simulated implementation of the seam; it has no network of its own. */
export const simulated: { readonly name: string; readonly create: CreateDisk } = {
  name: 'simulated',
  create(options = {}, directory) {
    if (directory !== undefined) {
      fs = new SimFileSystem()
      for (const path of [...parentsOf(directory), '/proc', '/dev']) fs.makeDirectory(path)
      fs.sealDirectory('/proc')
    }
    // As for the system there is one file that takes bytes and cannot be synced.
    const faults: DiskFaults = ({ kind, path }) =>
      kind === 'sync' && path === '/dev/null' ? { code: 'EIO' } : null
    const runtime = createSimRuntime(fs, { ...options, faults })
    onTestFinished(() => runtime.disk.close())
    return runtime
  },
}

/** The simulated network, and a disk that its connections read from; time passes by itself while the test waits. */
export const simulatedNetwork: { readonly name: string; readonly create: CreateNetwork } = {
  name: 'simulated',
  create() {
    const system = new SimFileSystem()
    const { disk } = createSimRuntime(system)
    const queue = new EventQueue()
    const host = new SimNetwork(queue, new SimRandom(1), { splitShare: 0.1 }).addHost(1, 'node-1')
    host.readRange = (file, target, position) => disk.readAt(file.path, target, position)
    const submit = disk.submit.bind(disk)
    disk.submit = async (group) => {
      for (const { file } of group) await disk.makeDirectory(dirname(file.path))
      return submit(group)
    }
    let isOver = false
    void eachTurn(() => {
      queue.take(Number.POSITIVE_INFINITY)?.run?.()
      return !isOver
    })
    onTestFinished(() => {
      isOver = true
      return disk.close()
    })
    return { disk, network: host.network.networkFor(host, host.readRange) }
  },
}

/** `/a`, `/a/b` and `/a/b/c` for `/a/b/c`. */
function parentsOf(path: string): string[] {
  const names = path.split('/').slice(1)
  return names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`)
}
