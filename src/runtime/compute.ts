import { EngineError } from '../model/errors.ts'
import type { Checksum } from './checksum.ts'
import type { Disk } from './disk.ts'

/** Work for the CPU aside of the event loop: scans, compaction. */
export interface Compute {
  /**
   * Runs `task` in another thread, where there is one, and resolves with what it gives. Input and output are copied
   * as by `structuredClone`. Rejects with the task's error, whose class and `code` are kept; with `signal.reason` when
   * `signal` is aborted, but only once the task has come to its end; with `closed` after `close`.
   */
  run<Input, Output>(
    task: Task<Input, Output>,
    input: Input,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Output>
  /** How many tasks run at the same time at most. */
  readonly parallelism: number
  /** Has running tasks stop and resolves when all have. */
  close(): Promise<void>
}

/** One entry of the table of tasks: what runs under a name. */
export interface Task<Input, Output> {
  readonly name: string
  readonly body: (input: Input, world: TaskWorld) => Promise<Output>
}

/** Tasks by name, the same in every thread. */
export type TaskTable = ReadonlyMap<string, Task<never, unknown>>

/** What a task has of the world, in whatever thread it runs. */
export interface TaskWorld {
  /** Of this thread: it shares no descriptors and no queue with other ones. */
  readonly disk: Disk
  readonly checksum: Checksum
  readonly codecs: Codecs
  /** Throws when nobody wants the result any more. A task that runs long asks every few milliseconds. */
  check(): void
}

/** Compression of batch bodies; `codec` as in a batch's attributes: 1 gzip, 2 snappy, 3 lz4, 4 zstd. */
export interface Codecs {
  /** Throws `unsupportedCompressionType` for a codec that is not there. */
  compress(codec: number, body: Uint8Array): Uint8Array
  /** Throws `messageTooLarge` above `maxBytes`, `corruptMessage`, `unsupportedCompressionType`. */
  decompress(codec: number, body: Uint8Array, maxBytes: number): Uint8Array
}

/** The table of `tasks`. Two of one name are an error of the program. */
export function taskTable(tasks: readonly Task<never, unknown>[]): TaskTable {
  const table = new Map<string, Task<never, unknown>>()
  for (const task of tasks) {
    if (table.has(task.name)) throw new Error(`there are two tasks ${task.name}`)
    table.set(task.name, task)
  }
  return table
}

/** Runs tasks in the caller's thread, for simulators and tests. Takes only what stands in `tasks`, as a worker does. */
export function inlineCompute(tasks: TaskTable, world: Omit<TaskWorld, 'check'>): Compute {
  const running = new Set<Promise<unknown>>()
  let isClosed = false
  const closed = (): EngineError => new EngineError('closed', 'no task is taken any more')
  return {
    parallelism: 1,
    async run(task, input, { signal } = {}) {
      if (isClosed) throw closed()
      signal?.throwIfAborted()
      if (tasks.get(task.name) !== (task as unknown))
        throw new EngineError('notFound', `no task ${task.name}`)
      const check = (): void => {
        if (isClosed) throw closed()
        signal?.throwIfAborted()
      }
      const run = (async () => task.body(structuredClone(input), { ...world, check }))()
      running.add(run)
      try {
        const output = await run
        signal?.throwIfAborted()
        return structuredClone(output)
      } finally {
        running.delete(run)
      }
    },
    async close() {
      isClosed = true
      await Promise.allSettled([...running])
    },
  }
}
