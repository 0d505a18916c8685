import type { LogBatch } from './logBatch.ts'
import type { LogRecord } from './logRecord.ts'

/** What gives batches, one at a time. */
export interface BatchSource {
  /** The next one; null at the end. */
  next(): Promise<LogBatch | null>
  /** Gives no more. */
  stop(): void
}

/** How many records a stream holds ahead of its reader. */
const streamedAhead = 256

/** The batches of `reader`, one at a time. Calls of `next` that overlap are answered in their order. */
export class BatchIterator implements AsyncIterableIterator<LogBatch> {
  readonly #reader: BatchSource
  #last: Promise<unknown> = Promise.resolve()

  constructor(reader: BatchSource) {
    this.#reader = reader
  }

  next(): Promise<IteratorResult<LogBatch>> {
    const result = this.#last.then(async (): Promise<IteratorResult<LogBatch>> => {
      const value = await this.#reader.next()
      return value === null ? { done: true, value: undefined } : { done: false, value }
    })
    this.#last = result.catch(() => {})
    return result
  }

  return(): Promise<IteratorResult<LogBatch>> {
    this.#reader.stop()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

/** The records of `reader`, one at a time, decoded a batch at a time. */
export class RecordIterator implements AsyncIterableIterator<LogRecord> {
  readonly #reader: BatchSource
  #records: readonly LogRecord[] = []
  #at = 0
  #loading: Promise<void> | null = null
  #isOver = false

  constructor(reader: BatchSource) {
    this.#reader = reader
  }

  next(): Promise<IteratorResult<LogRecord>> {
    const value = this.#loading === null ? this.#records[this.#at] : undefined
    if (value !== undefined) {
      this.#at++
      return Promise.resolve({ done: false, value })
    }
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined })
    this.#loading ??= this.#load()
    return this.#loading.then(() => this.next())
  }

  return(): Promise<IteratorResult<LogRecord>> {
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** What is left of the batch at hand, or the next one; null at the end. */
  async rest(): Promise<readonly LogRecord[] | null> {
    const first = await this.next()
    if (first.done) return null
    const rest = [first.value, ...this.#records.slice(this.#at)]
    this.#at = this.#records.length
    return rest
  }

  async #load(): Promise<void> {
    try {
      do {
        const batch = await this.#reader.next()
        if (this.#isOver || batch === null) {
          this.#end()
          return
        }
        this.#records = batch.records
        this.#at = 0
      } while (this.#records.length === 0)
    } catch (error) {
      this.#end()
      throw error
    } finally {
      this.#loading = null
    }
  }

  #end(): void {
    this.#isOver = true
    this.#records = []
    this.#at = 0
    this.#reader.stop()
  }
}

/** The records of `iterator` as a Web stream. Cancelling it ends the read. */
export function recordStream(iterator: RecordIterator): ReadableStream<LogRecord> {
  return new ReadableStream<LogRecord>(
    {
      async pull(controller) {
        const records = await iterator.rest()
        if (records === null) controller.close()
        else for (const record of records) controller.enqueue(record)
      },
      async cancel() {
        await iterator.return()
      },
    },
    { highWaterMark: streamedAhead },
  )
}
