import { readdirSync } from 'node:fs'
import { EngineError } from '../../src/model/errors.ts'
import { silentLogger } from '../../src/model/logger.ts'
import { randomUuid } from '../../src/model/uuid.ts'
import type { Clock, Timer } from '../../src/runtime/clock.ts'
import { createNodeRuntime } from '../../src/runtime/node/nodeRuntime.ts'
import type { Runtime } from '../../src/runtime/runtime.ts'
import { type AppendResult, Log, type LogConfig, type LogOptions } from '../../src/segment/log.ts'
import { defaultLogConfig } from '../../src/segment/logConfig.ts'
import { checkBatch } from '../../src/segment/recordBatch.ts'
import { encodeBatch, type NewBatch, readRecords, type StoredRecord } from '../../src/segment/records.ts'
import { WriteGroup } from '../../src/segment/writeGroup.ts'
import { copyDirectory } from '../support/copyDirectory.ts'
import { temporaryDirectory } from '../support/temporaryDirectory.ts'

/** The runtime that tests of this folder share. */
export const runtime: Runtime = createNodeRuntime()

/** A copy of a data directory that is in use: what a process that dies now leaves. */
export function crashCopy(directory: string): string {
  const copy = `${temporaryDirectory()}/copy`
  copyDirectory(directory, copy)
  return copy
}

/** Small segments and indexes, no syncs: what a test changes, it says. */
export const testConfig: LogConfig = {
  ...defaultLogConfig,
  segmentBytes: 1 << 20,
  indexIntervalBytes: 0,
  timestampAfterMaxMs: Number.MAX_SAFE_INTEGER,
  fileDeleteDelayMs: 0,
  flush: 'none',
}

/** A clock whose wall time is set by hand and whose timers fire by hand. */
export class ManualClock implements Clock {
  nowMs = 1_700_000_000_000
  readonly #timers: { dueMs: number; fire: () => void }[] = []

  wallMs(): number {
    return this.nowMs
  }

  monotonicMs(): number {
    return this.nowMs
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const timer = { dueMs: this.nowMs + delayMs, fire }
    this.#timers.push(timer)
    return {
      cancel: () => {
        const at = this.#timers.indexOf(timer)
        if (at >= 0) this.#timers.splice(at, 1)
      },
    }
  }

  /** Timers that have not fired. */
  get timerCount(): number {
    return this.#timers.length
  }

  /** Timers that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#timers.length
  }

  /** Moves time on and fires what is due. */
  advance(byMs: number): void {
    this.nowMs += byMs
    for (const timer of this.#timers.filter(({ dueMs }) => dueMs <= this.nowMs)) {
      this.#timers.splice(this.#timers.indexOf(timer), 1)
      timer.fire()
    }
  }
}

/** Opens a log in `directory` as after a crash with nothing known to be durable, unless `options` say otherwise. */
export function openLog(
  directory: string,
  options: Partial<LogOptions> = {},
  on: Runtime = runtime,
): Promise<Log> {
  return Log.open(on, {
    directory,
    topicId: randomUuid(on.random),
    config: testConfig,
    logger: silentLogger,
    recoveryPoint: 0,
    logStartOffset: 0,
    cleanShutdown: false,
    producerIdExpirationMs: 86_400_000,
    ...options,
  })
}

/** Bytes of a batch with these values, all with one timestamp. */
export function batchOf(
  values: readonly string[],
  more: Partial<NewBatch> & { timestampMs?: number } = {},
): Uint8Array {
  const timestampMs = more.timestampMs ?? 1_600_000_000_000
  const records = values.map((value) => ({ key: null, value: Buffer.from(value), timestampMs }))
  return encodeBatch({ records, ...more }, runtime.checksum)
}

/** Appends bytes in a group of their own and waits until the group is on disk. */
export async function append(log: Log, bytes: Uint8Array, leaderEpoch = 0): Promise<AppendResult> {
  const group = new WriteGroup(runtime.disk)
  const result = log.append(checkBatch(bytes, runtime.checksum, 'broker'), bytes, leaderEpoch, group)
  await group.submit()
  return result
}

/** The bytes of a read, null for nothing. */
export async function readBytes(
  log: Log,
  offset: number,
  maxBytes = 1 << 20,
  endOffset: number = log.flushedOffset,
  minOneBatch = true,
): Promise<Uint8Array | null> {
  const found = await log.read(offset, maxBytes, endOffset, minOneBatch)
  if (found === null) return null
  const { file, position, lengthBytes } = found.ranges[0]!
  const bytes = new Uint8Array(lengthBytes)
  const count = await runtime.disk.file(file.path).read(bytes, position)
  if (count !== lengthBytes) throw new Error(`read ${count} of ${lengthBytes} bytes`)
  return bytes
}

/** Every record of the log from `offset` on, batch by batch through `read`. */
export async function readAll(log: Log, offset: number = log.logStartOffset): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  for (let next = offset; ; ) {
    const bytes = await readBytes(log, next)
    if (bytes === null) return records
    for (let at = 0; at < bytes.length; ) {
      const batch = bytes.subarray(at)
      const header = checkBatch(
        batch.subarray(0, 12 + Buffer.from(batch).readInt32BE(8)),
        runtime.checksum,
        'broker',
      )
      // What a client cannot see: base offsets lie outside the checksum.
      if (header.baseOffset > next || (at > 0 && header.baseOffset !== next)) {
        throw new EngineError('corruptMessage', `offset ${header.baseOffset} in place of ${next}`)
      }
      for (const record of readRecords(batch)) if (record.offset >= next) records.push(record)
      at += header.sizeBytes
      next = header.lastOffset + 1
    }
  }
}

/** The values of records, as text. */
export function valuesOf(records: readonly StoredRecord[]): string[] {
  return records.map(({ value }) => Buffer.from(value ?? []).toString())
}

/** The names in a directory that end with `suffix`, sorted. */
export function filesIn(directory: string, suffix: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith(suffix))
    .sort()
}
