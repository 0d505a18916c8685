import type { LogBatch } from './logBatch.ts'
import type { LogRecord } from './logRecord.ts'

/** What gives batches, one at a time. */
export interface BatchSource {
  /** The next one; null at the end. */
  next(): Promise<LogBatch | null>
  /**
   * Whether the record at `offset` of the last batch may still be given; asked before each. If not, the rest of the batch is
   * forgotten. `isBegun`: another of it was given. Throws what ends the read.
   */
  stands?(offset: number, isBegun: boolean): boolean
  /** Gives no more. */
  stop(): void
}

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
    try {
      const value = this.#loading === null ? this.#taken() : undefined
      if (value !== undefined) return Promise.resolve({ done: false, value })
    } catch (error) {
      this.#end()
      return Promise.reject(error)
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

  /** Takes the next record of the batch at hand; undefined for none. */
  #taken(): LogRecord | undefined {
    const record = this.#records[this.#at]
    if (record === undefined) return undefined
    if (this.#reader.stands?.(record.offset, this.#at > 0) === false) {
      this.#records = []
      this.#at = 0
      return undefined
    }
    this.#at++
    return record
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
        const { done, value } = await iterator.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        await iterator.return()
      },
    },
    // Nothing is taken ahead: what the stream holds could not be taken back when the log is cut or the read aborted.
    { highWaterMark: 0 },
  )
}
