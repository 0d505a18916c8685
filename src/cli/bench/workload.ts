import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { EngineLog } from '../../engine/engineLog.ts'

/** What one run of a workload gave. Latencies are in microseconds. */
export interface Run {
  readonly appends: number
  readonly seconds: number
  readonly p50Us: number
  readonly p99Us: number
  readonly maxUs: number
  /** CPU seconds of this process, all threads. */
  readonly cpuSeconds: number
}

/** Who appends what, where. */
export interface Workload {
  readonly logs: readonly EngineLog[]
  readonly sizeBytes: number
  readonly writers: number
  readonly seconds: number
  readonly warmupSeconds: number
  readonly signal: AbortSignal
  /** Asked when the time is over, and so again; true goes on, up to `mostPeriods` times as long (5 by default). */
  readonly goOn?: ((appends: number) => boolean) | undefined
  readonly mostPeriods?: number
}

/** Picks logs at random, from the same seed every time. */
class Picker {
  #state: number
  readonly #count: number

  constructor(seed: number, count: number) {
    this.#state = seed
    this.#count = count
  }

  next(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.#state / 4_294_967_296) * this.#count)
  }
}

/** What is counted between the end of the warm-up and the end. */
class Window {
  appends = 0
  readonly #latency: RecordableHistogram = createHistogram()
  readonly #cpu = process.cpuUsage()
  readonly #startedMs = performance.now()

  count(latencyMs: number): void {
    this.appends += 1
    this.#latency.record(Math.max(1, Math.round(latencyMs * 1e6)))
  }

  end(): Run {
    const seconds = (performance.now() - this.#startedMs) / 1000
    const { user, system } = process.cpuUsage(this.#cpu)
    const us = (percentile: number): number =>
      this.appends === 0 ? 0 : Math.round(this.#latency.percentile(percentile) / 1000)
    const maxUs = this.appends === 0 ? 0 : Math.round(this.#latency.max / 1000)
    return {
      appends: this.appends,
      seconds,
      p50Us: us(50),
      p99Us: us(99),
      maxUs,
      cpuSeconds: (user + system) / 1e6,
    }
  }
}

/** Each writer appends one record, waits for its acknowledgement, and goes on: as much as the disk takes. */
export async function closedLoop(workload: Workload): Promise<Run> {
  const { logs, writers, seconds, warmupSeconds, signal } = workload
  const value = Buffer.alloc(workload.sizeBytes, 'cordwood ')
  const record = { value }
  let window: Window | null = null
  let isOver = false
  const picker = new Picker(1, logs.length)
  const write = async (): Promise<void> => {
    while (!isOver) {
      const log = logs[picker.next()]!
      const startedMs = performance.now()
      await log.append(record)
      // An append that began in the warm-up is of the window in which it ends.
      if (!isOver) window?.count(performance.now() - startedMs)
    }
  }
  const running = Promise.all(Array.from({ length: writers }, write))
  const ended = running.then(
    () => {},
    () => {},
  )
  let run: Run
  try {
    await Promise.race([pause(warmupSeconds, signal), ended])
    const measured = new Window()
    window = measured
    await Promise.race([pause(seconds, signal), ended])
    const most = workload.mostPeriods ?? 5
    for (let period = 1; period < most && workload.goOn?.(measured.appends) === true; period++) {
      await Promise.race([pause(seconds, signal), ended])
    }
    run = measured.end()
  } finally {
    isOver = true
  }
  await running
  return run
}

/**
 * `perSecond` appends begin a second, `writers` of them at a time and evenly, whether or not earlier ones have ended:
 * latency at a load, counted from when an append was due. Ends early when more than four seconds' worth are under way.
 */
export async function openLoop(workload: Workload, perSecond: number): Promise<Run> {
  const { logs, seconds, warmupSeconds, signal, writers } = workload
  const value = Buffer.alloc(workload.sizeBytes, 'cordwood ')
  const record = { value }
  const picker = new Picker(1, logs.length)
  const startedMs = performance.now()
  const warmMs = startedMs + warmupSeconds * 1000
  const endMs = warmMs + seconds * 1000
  const msEach = (1000 * writers) / perSecond
  let window: Window | null = null
  let failure: { readonly error: unknown } | null = null
  let dueMs = startedMs
  let underWay = 0
  let idle: (() => void) | null = null
  const settled = (): void => {
    underWay -= 1
    if (underWay === 0) idle?.()
  }
  const append = (due: number): void => {
    underWay += 1
    logs[picker.next()]!.append(record).then(
      () => {
        if (due >= warmMs) window?.count(performance.now() - due)
        settled()
      },
      (error: unknown) => {
        failure ??= { error }
        settled()
      },
    )
  }
  for (;;) {
    const nowMs = performance.now()
    if (nowMs >= endMs || failure !== null || signal.aborted || underWay > perSecond * 4) break
    if (window === null && nowMs >= warmMs) window = new Window()
    for (; dueMs <= nowMs; dueMs += msEach) {
      for (let writer = 0; writer < writers; writer++) append(dueMs)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  const run = (window ?? new Window()).end()
  if (underWay > 0) await new Promise<void>((resolve) => (idle = resolve))
  // What ended after the window counts for the latency, so that a stall at the end is seen.
  const { p50Us, p99Us, maxUs } = window?.end() ?? run
  if (failure !== null) throw (failure as { error: unknown }).error
  signal.throwIfAborted()
  return { ...run, p50Us, p99Us, maxUs }
}

/** Resolves after a time; rejects with the signal's reason. */
function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, seconds * 1000)
    function abort(): void {
      clearTimeout(timer)
      reject(signal.reason)
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}
