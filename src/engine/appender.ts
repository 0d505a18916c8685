import { EngineError, failureIn, toEngineError } from '../model/errors.ts'
import { type FlushPolicy, isDurable } from '../model/flushPolicy.ts'
import type { Codecs } from '../runtime/compute.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { BatchWriter } from '../segment/batchWriter.ts'
import { BatchHeader, checkBatch } from '../segment/recordBatch.ts'
import { TurnEnd } from '../segment/turnEnd.ts'
import { WriteGroup } from '../segment/writeGroup.ts'
import type { Ack } from './ack.ts'
import { type AppendInput, checkReady, encodeInput } from './encodeInput.ts'
import type { EngineChannels } from './events.ts'
import { refuse } from './logSettings.ts'
import { onAbort } from './onAbort.ts'
import type { OpenLog } from './openLog.ts'

/** Bytes at which a group goes to the disk before its turn is over; also what is kept of the memory for encoding. */
const fullGroupBytes = 1 << 20
/** How often a group lets the microtasks that are queued run first. */
const patience = 4
/**
 * Whoever is told of a group appends again; half of what comes then goes to the disk at once, so that it does not wait for
 * the other half to be encoded. With fewer bytes that costs more than it gains.
 */
const leastHalfBytes = 16 << 10

/** How one append is made. */
export interface AppendOptions {
  /** Gives up while the append waits for room; once it is under way it is not called back. Rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
  /** Appends only if this is the offset that the first record gets; otherwise rejects with `conflict`. */
  readonly expectedOffset?: number | undefined
}

interface Waiting {
  readonly target: OpenLog
  readonly input: AppendInput
  readonly options: AppendOptions | undefined
  /** The policy of the log when it was called. */
  readonly policy: FlushPolicy
  resolve(ack: Ack): void
  reject(error: unknown): void
  stopListening(): void
}

/** An append that is on its way to the disk. */
interface Appended {
  readonly target: OpenLog
  readonly ack: Ack
  /** The log's policy promises less than what was asked for: it is flushed first. */
  readonly mustFlush: boolean
  readonly bytes: number
  resolve(ack: Ack): void
  reject(error: unknown): void
}

/** The appends of one turn that are acknowledged together. */
interface Turn {
  readonly group: WriteGroup
  readonly appends: Appended[]
  readonly startedMs: number
  readonly isDurable: boolean
  bytes: number
}

/** What the appender needs to know. */
export interface AppenderOptions {
  readonly runtime: Runtime
  readonly codecs: Codecs
  readonly channels: EngineChannels
  readonly directory: string
  /** Bytes on their way to the disk at which further appends wait. */
  readonly maxPendingBytes: number
  /** Called with every group of appends. */
  appended(): void
}

/**
 * Puts what all logs of the engine append in one turn of the event loop into one group, and tells everybody when it is
 * flushed. Beyond `maxPendingBytes` appends wait, in the order of their calls.
 */
export class Appender {
  readonly #options: AppenderOptions
  readonly #writer = new BatchWriter(64 << 10, fullGroupBytes)
  readonly #waiting: Waiting[] = []
  /** Those whose acknowledgement waits for a sync stand apart from those that need none. */
  #durable: Turn | null = null
  #relaxed: Turn | null = null
  /** Groups of durable appends that are on their way, and how many bytes are pending when one of them comes back. */
  #syncing = 0
  #usualBytes = 0
  #pendingBytes = 0
  /** Groups, and appends that wait for something else, without an answer. */
  #inFlight = 0
  readonly #turnEnd = new TurnEnd(patience, () => this.submit())
  #ended: EngineError | null = null
  #idle: (() => void)[] = []

  constructor(options: AppenderOptions) {
    this.#options = options
  }

  /** Bytes of appends that are neither acknowledged nor refused. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** Appends that wait for room. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Appends to `target`; resolves once its policy is met. */
  append(target: OpenLog, input: AppendInput, options: AppendOptions | undefined): Promise<Ack> {
    return new Promise((resolve, reject) => {
      if (options !== undefined) checkOptions(options)
      const signal = options?.signal
      if (signal?.aborted) {
        reject(signal.reason)
      } else if (this.#waiting.length === 0 && this.#pendingBytes < this.#options.maxPendingBytes) {
        this.#admit(target, input, options, target.settings.config.flush, resolve, reject)
      } else {
        this.#wait(target, input, options, resolve, reject)
      }
    })
  }

  /** Takes nothing more, refuses what waits, and resolves once what is under way has been answered. */
  async close(): Promise<void> {
    this.#ended = new EngineError('closed', 'the engine has been closed')
    for (const waiting of this.#waiting.splice(0)) {
      waiting.stopListening()
      waiting.reject(this.#ended)
    }
    this.submit()
    while (this.#inFlight > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** Refuses what waits to be appended to `target`. */
  refuse(target: OpenLog): void {
    for (const waiting of this.#waiting.filter((each) => each.target === target)) {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
      waiting.stopListening()
      waiting.reject(target.ended)
    }
  }

  #wait(
    target: OpenLog,
    input: AppendInput,
    options: AppendOptions | undefined,
    resolve: (ack: Ack) => void,
    reject: (error: unknown) => void,
  ): void {
    const refusal = this.#ended ?? target.ended
    if (refusal !== null) {
      reject(refusal)
      return
    }
    const signal = options?.signal
    const giveUp = (): void => {
      stopListening()
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
      reject(signal!.reason)
    }
    const stopListening = signal ? onAbort(signal, giveUp) : (): void => {}
    const policy = target.settings.config.flush
    const waiting: Waiting = { target, input, options, policy, resolve, reject, stopListening }
    this.#waiting.push(waiting)
  }

  /** Appends to the log at once, into the group of this turn; `policy` is that of the call. */
  #admit(
    target: OpenLog,
    input: AppendInput,
    options: AppendOptions | undefined,
    policy: FlushPolicy,
    resolve: (ack: Ack) => void,
    reject: (error: unknown) => void,
  ): void {
    try {
      const refusal = this.#ended ?? target.ended
      if (refusal !== null) throw refusal
      const { log, settings } = target
      const { runtime, codecs } = this.#options
      const isReady = input instanceof Uint8Array
      const bytes = encodeInput(input, settings, this.#writer, runtime, codecs)
      const header = isReady ? checkBatch(bytes, runtime.checksum) : new BatchHeader(bytes, 0)
      if (isReady) checkReady(bytes, header, settings.config.cleanupPolicy.compact, codecs)
      const expected = options?.expectedOffset
      if (expected !== undefined && expected !== log.logEndOffset) {
        const conflict = (): void =>
          reject(
            new EngineError('conflict', `${target.name} ends at ${log.logEndOffset}, not at ${expected}`),
          )
        // Said once a reader sees what was faster: whoever looks and tries again would else turn in a circle.
        log.whenFlushed(log.logEndOffset).then(conflict, conflict)
        return
      }
      const turn = this.#turn(isDurable(settings.config.flush))
      const appended = log.append(header, bytes, 0, turn.group)
      const { baseOffset, lastOffset, duplicate } = appended
      // It repeats what was appended under a weaker policy, or has waited while the policy became one.
      const mustFlush = isDurable(policy) && appended.survives !== 'powerLoss'
      const survives = mustFlush ? 'powerLoss' : appended.survives
      const ack = { survives, policy, baseOffset, lastOffset, duplicate } as Ack
      turn.appends.push({ target, ack, mustFlush, bytes: bytes.length, resolve, reject })
      turn.bytes += bytes.length
      this.#pendingBytes += bytes.length
      this.#turnEnd.added()
    } catch (error) {
      this.#dropEmpty()
      reject(error)
      return
    }
    if (this.#writer.usedBytes >= fullGroupBytes || this.#isHalf()) this.submit()
    else this.#turnEnd.schedule()
  }

  /** Whether the disk has nothing to sync and half of what it usually has is there. */
  #isHalf(): boolean {
    if (this.#syncing > 0 || this.#durable === null) return false
    const { bytes } = this.#durable
    return bytes >= leastHalfBytes && bytes * 2 >= this.#usualBytes
  }

  #turn(isSynced: boolean): Turn {
    const found = isSynced ? this.#durable : this.#relaxed
    if (found !== null) return found
    const { disk, clock } = this.#options.runtime
    const group = new WriteGroup(disk, () => this.submit())
    const turn = { group, appends: [], startedMs: clock.monotonicMs(), isDurable: isSynced, bytes: 0 }
    if (isSynced) this.#durable = turn
    else this.#relaxed = turn
    this.#inFlight += 1
    return turn
  }

  /** A turn that began with an append that was refused is none. */
  #dropEmpty(): void {
    for (const turn of [this.#durable, this.#relaxed]) {
      if (turn === null || turn.appends.length > 0) continue
      if (turn.isDurable) this.#durable = null
      else this.#relaxed = null
      this.#answered()
    }
  }

  #answered(): void {
    this.#inFlight -= 1
    if (this.#inFlight === 0) for (const wake of this.#idle.splice(0)) wake()
  }

  /** Hands what was appended so far to the disk now. */
  submit(): void {
    const durable = this.#durable
    const relaxed = this.#relaxed
    this.#durable = null
    this.#relaxed = null
    if (durable !== null) this.#send(durable)
    if (relaxed !== null) this.#send(relaxed)
    // The disk has copies of all there was.
    this.#writer.reset()
  }

  #send(turn: Turn): void {
    this.#options.appended()
    if (turn.isDurable) this.#syncing += 1
    turn.group.submit().then(
      () => this.#answer(turn, null),
      (cause) => this.#answer(turn, toEngineError(cause, 'diskFailed', 'a write failed')),
    )
  }

  #answer(turn: Turn, error: EngineError | null): void {
    const { channels, directory, runtime } = this.#options
    const groupBytes = turn.bytes
    if (turn.isDurable) {
      this.#syncing -= 1
      this.#usualBytes = Math.max(this.#usualBytes * 0.98, this.#pendingBytes)
    }
    for (const appended of turn.appends) {
      this.#settle(appended, error === null ? null : failureIn(error, appended.target.log.directory))
    }
    this.#pendingBytes -= groupBytes
    if (channels.flush.hasSubscribers) {
      const durationMs = runtime.clock.monotonicMs() - turn.startedMs
      channels.flush.publish({
        directory,
        appends: turn.appends.length,
        bytes: groupBytes,
        durationMs,
        error,
      })
    }
    this.#admitWaiting()
    this.#answered()
  }

  #settle(appended: Appended, error: EngineError | null): void {
    const { target, ack, mustFlush } = appended
    const { log } = target
    if (error !== null && !ack.duplicate) appended.reject(error)
    else if (log.flushedOffset > ack.lastOffset && !mustFlush) this.#acknowledge(appended)
    else {
      // Something before it, or a batch that it repeats, is still under way.
      this.#inFlight += 1
      log
        .whenFlushed(ack.lastOffset + 1)
        .then(() => (mustFlush ? log.flush() : undefined))
        .then(
          () => this.#acknowledge(appended),
          (cause) => appended.reject(cause),
        )
        .finally(() => this.#answered())
    }
  }

  #acknowledge({ target, ack, bytes, resolve }: Appended): void {
    resolve(ack)
    const { append } = this.#options.channels
    if (!append.hasSubscribers) return
    const { baseOffset, lastOffset, survives } = ack
    const { directory } = this.#options
    append.publish({ directory, log: target.name, baseOffset, lastOffset, bytes, survives })
  }

  #admitWaiting(): void {
    while (this.#waiting.length > 0 && this.#pendingBytes < this.#options.maxPendingBytes) {
      const waiting = this.#waiting.shift()!
      waiting.stopListening()
      const { target, input, options, policy, resolve, reject } = waiting
      this.#admit(target, input, options, policy, resolve, reject)
    }
  }
}

/** Throws `invalidConfig` for options that there are not, or cannot be: a misspelt condition would be none. */
function checkOptions(options: AppendOptions): void {
  const { signal, expectedOffset } = options
  if (expectedOffset !== undefined && !Number.isSafeInteger(expectedOffset)) {
    refuse(`expectedOffset has to be an offset, not ${String(expectedOffset)}`)
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) refuse('signal has to be an AbortSignal')
  for (const name in options) {
    if (name !== 'signal' && name !== 'expectedOffset') {
      refuse(`append has no option "${name}"; there are signal, expectedOffset`)
    }
  }
}
