import { EngineError } from '../../src/model/errors.ts'
import type { Disk, DiskFile, DiskWrite } from '../../src/runtime/disk.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { runtime } from './support.ts'

/** A group that was handed to the disk and has not been answered. */
export interface HeldGroup {
  readonly group: readonly DiskWrite[]
  /** Carries the group out and answers. */
  release(): Promise<void>
  /** Writes the first `bytes` of each write, then answers with an error. */
  fail(code: 'diskFull' | 'diskFailed', bytes?: number): Promise<void>
}

/** The real disk, but groups that hold batches wait until a test answers them. */
export class HoldingDisk {
  readonly held: HeldGroup[] = []
  /** Set: `submit` throws `queueFull`. */
  queueIsFull = false
  /** Set: there is no descriptor for a file that is to be cut. */
  hasNoDescriptor = false
  /** How often there was none. */
  refusals = 0
  /** While set, `sync` of a file waits for it. */
  syncGate: Promise<void> | null = null
  readonly runtime: Runtime
  readonly disk: Disk

  constructor() {
    const disk = runtime.disk
    const submit = (group: readonly DiskWrite[]): Promise<void> => {
      if (!group.some(({ file }) => file.path.endsWith('.log'))) return disk.submit(group)
      if (this.queueIsFull) throw new EngineError('queueFull', 'the queue is full')
      return this.#hold(group)
    }
    this.disk = new Proxy(disk, {
      get: (target, name) => {
        if (name === 'submit') return submit
        if (name === 'file') return (path: string) => this.#file(path)
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    this.runtime = { ...runtime, disk: this.disk }
  }

  #file(path: string): DiskFile {
    const file = runtime.disk.file(path)
    return {
      path,
      read: (target, position) => file.read(target, position),
      size: () => file.size(),
      truncate: async (sizeBytes) => {
        if (this.hasNoDescriptor) {
          this.refusals++
          throw new EngineError('diskFull', 'too many open files')
        }
        await file.truncate(sizeBytes)
      },
      sync: async () => {
        await this.syncGate
        await file.sync()
      },
      close: () => file.close(),
    }
  }

  #hold(group: readonly DiskWrite[]): Promise<void> {
    const copy = group.map((write) => ({ ...write, parts: [Buffer.concat(write.parts)] }))
    return new Promise((resolve, reject) => {
      this.held.push({
        group: copy,
        release: async () => {
          await runtime.disk.submit(copy)
          resolve()
          await Promise.resolve()
        },
        fail: async (code, bytes = 0) => {
          const cut = copy.map((write) => ({ ...write, parts: [write.parts[0]!.subarray(0, bytes)] }))
          if (bytes > 0) await runtime.disk.submit(cut)
          reject(new EngineError(code, `injected ${code}`))
          await Promise.resolve()
        },
      })
    })
  }
}
