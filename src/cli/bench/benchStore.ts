import { mkdtempSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Engine } from '../../engine/engine.ts'
import type { EngineLog } from '../../engine/engineLog.ts'
import { openEngine } from '../../index.ts'
import { type FlushPolicy, isDurable } from '../../model/flushPolicy.ts'
import { createRuntime, type NamedRuntime } from '../../zerocopy/nativeRuntime.ts'

/** Bytes of the largest value that is measured. */
export const largestAppend = 1 << 20

/** Of the logs: a batch has more bytes than the value of its only record. */
const settings = { maxAppendBytes: largestAppend + 1024 }

/** Logs that are made or changed at the same time. */
const parallel = 64

/** An engine with a number of logs in a directory of its own, which goes when it is closed. */
export class BenchStore {
  readonly logs: readonly EngineLog[]
  readonly #engine: Engine
  readonly #runtime: NamedRuntime
  readonly #directory: string
  #policy: FlushPolicy = 'journal'

  private constructor(engine: Engine, runtime: NamedRuntime, directory: string, logs: readonly EngineLog[]) {
    this.#engine = engine
    this.#runtime = runtime
    this.#directory = directory
    this.logs = logs
  }

  /** Makes `count` empty logs inside `parent`. `made` is told how many there are; rejects with the signal's reason. */
  static async open(
    parent: string,
    count: number,
    journalBytes: number,
    signal: AbortSignal,
    made: (count: number) => void,
  ): Promise<BenchStore> {
    const directory = mkdtempSync(join(parent, '.cordwood-bench-'))
    const runtime = createRuntime({})
    try {
      const engine = await openEngine<FlushPolicy>({ directory, flush: 'journal', runtime, journalBytes })
      const logs: EngineLog[] = []
      while (logs.length < count) {
        signal.throwIfAborted()
        const names = Array.from({ length: Math.min(parallel, count - logs.length) }, (_, index) =>
          String(logs.length + index).padStart(5, '0'),
        )
        logs.push(...(await Promise.all(names.map((name) => engine.log(`log-${name}`, settings)))))
        made(logs.length)
      }
      return new BenchStore(engine, runtime, directory, logs)
    } catch (error) {
      await runtime.compute.close()
      await runtime.disk.close()
      rmSync(directory, { recursive: true, force: true })
      throw error
    }
  }

  /** Which implementation of the seam is measured. */
  get kind(): 'native' | 'portable' {
    return this.#runtime.kind
  }

  get sizeBytes(): number {
    return this.logs.reduce((sum, log) => sum + log.sizeBytes, 0)
  }

  /** Has every log go by `policy` from now on, with nothing left to be synced from before. */
  async use(policy: FlushPolicy): Promise<void> {
    await this.settle()
    if (this.#policy === policy) return
    const isRaised = isDurable(policy) && !isDurable(this.#policy)
    for (let at = 0; at < this.logs.length; at += parallel) {
      const some = this.logs.slice(at, at + parallel)
      for (const log of some) log.configure({ flush: policy })
      // A raised policy holds back acknowledgements until everything earlier is known to be synced.
      if (isRaised) await Promise.all(some.map((log) => log.flush()))
    }
    this.#policy = policy
    await this.settle()
  }

  /** Waits until everything that was written is on the disk, so that one measurement does not pay for another. */
  async settle(): Promise<void> {
    const { disk } = this.#runtime
    if (disk.syncFileSystem !== undefined) await disk.syncFileSystem(this.#directory)
    else await Promise.all(this.logs.map((log) => log.flush()))
  }

  /** Closes the engine, then removes the files: to sync files that are gone takes longer than to close them in order. */
  async close(): Promise<void> {
    try {
      await this.settle()
      await this.#engine.close()
    } catch {
      // A full disk, for example: nobody wants these files.
    } finally {
      await this.#runtime.compute.close()
      await this.#runtime.disk.close()
      await rm(this.#directory, { recursive: true, force: true })
    }
  }
}
