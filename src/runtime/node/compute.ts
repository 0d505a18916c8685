import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { EngineError, messageOf } from '../../model/errors.ts'
import type { Compute, Task } from '../compute.ts'
import { errorOf, type TaskCall, type TaskOutcome } from './taskThread.ts'
import { ThreadPool } from './threadPool.ts'

const require = createRequire(import.meta.url)

/** Options of `NodeCompute`. */
export interface NodeComputeOptions {
  /** Threads at most; one less than there are cores by default, at least one. */
  readonly maxThreads?: number
  /** How long a thread without work stays, ms; 10 s by default. */
  readonly idleMs?: number
  /** False keeps the addon out of the workers. */
  readonly native?: boolean
}

/** What a worker is told when it starts. */
export interface WorkerData {
  readonly native: boolean
}

/**
 * `Compute` over a pool of worker threads. The pool's package is loaded, and threads are started, when the first task
 * comes; threads without work end after a while and never keep the process alive.
 */
export class NodeCompute implements Compute {
  readonly parallelism: number
  readonly #options: NodeComputeOptions
  readonly #running = new Map<Promise<unknown>, Int32Array>()
  #pool: ThreadPool<TaskCall, TaskOutcome> | null = null
  #closed = false

  constructor(options: NodeComputeOptions = {}) {
    this.#options = options
    this.parallelism = options.maxThreads ?? Math.max(1, availableParallelism() - 1)
    // Looked up before there is a need: what Node does not find for want of a descriptor, it takes for missing from then on.
    findPackage()
  }

  async run<Input, Output>(
    task: Task<Input, Output>,
    input: Input,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Output> {
    if (this.#closed) throw closedError()
    const { signal } = options
    signal?.throwIfAborted()
    const stop = new Int32Array(new SharedArrayBuffer(4))
    const abort = (): void => void Atomics.store(stop, 0, 1)
    signal?.addEventListener('abort', abort, { once: true })
    const call: TaskCall = { task: task.name, input, stop }
    const running = this.#call(call)
    this.#running.set(running, stop)
    try {
      const outcome = await running
      signal?.throwIfAborted()
      if (outcome.ok) return outcome.output as Output
      throw this.#closed ? closedError() : errorOf(outcome.error)
    } finally {
      this.#running.delete(running)
      signal?.removeEventListener('abort', abort)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const stop of this.#running.values()) Atomics.store(stop, 0, 1)
    await Promise.allSettled([...this.#running.keys()])
    await this.#pool?.destroy()
  }

  async #call(call: TaskCall): Promise<TaskOutcome> {
    try {
      this.#pool ??= this.#start()
      return await this.#pool.run(call)
    } catch (cause) {
      if (cause instanceof EngineError) throw cause
      // A task's own errors are outcomes: this is a thread that could not start, or died.
      throw new EngineError('unknownServerError', `a worker thread failed: ${messageOf(cause)}`, { cause })
    }
  }

  #start(): ThreadPool<TaskCall, TaskOutcome> {
    const { idleMs, native = true } = this.#options
    const filename = workerFile()
    // Unlike `import`, this can be tried again after it has failed.
    const { Piscina } = require('piscina') as typeof import('piscina')
    const workerData: WorkerData = { native }
    const piscina = new Piscina({
      filename,
      name: 'runTask',
      workerData,
      minThreads: 0,
      maxThreads: this.parallelism,
      idleTimeout: idleMs ?? 10_000,
      // A thread that waits in Atomics.wait could not finish what a task left to its event loop, closing files for one.
      atomics: 'disabled',
      recordTiming: false,
    })
    const pool = new ThreadPool<TaskCall, TaskOutcome>(piscina, () => {
      if (this.#pool === pool) this.#pool = null
    })
    return pool
  }
}

function findPackage(): void {
  try {
    require.resolve('piscina')
  } catch {
    // The first task will say so.
  }
}

/** Where the workers’ entry is: beside the sources (compiled or not), or in the bundle that is shipped. */
function workerFile(): string {
  for (const candidate of ['../../worker.ts', '../../worker.js', '../worker.js', './worker.js']) {
    const path = fileURLToPath(new URL(candidate, import.meta.url))
    if (existsSync(path)) return path
  }
  throw new EngineError('notFound', 'the file that worker threads run is missing: run "npm run build"')
}

function closedError(): EngineError {
  return new EngineError('closed', 'no task is taken any more')
}
