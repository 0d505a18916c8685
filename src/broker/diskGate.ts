import type { Clock } from '../runtime/clock.ts'

/** Beyond the bytes of the batches: what the log may add of its own. */
const slackBytes = 64 * 1024
const lookAgainMs = 5

/** What takes writes and has a bound: the disk, the journal. */
export interface WriteQueue {
  readonly queuedBytes: number
  readonly maxQueuedBytes: number
  /** Resolves once less than half of the bound is queued. */
  room(): Promise<void>
}

interface GateWaiter {
  readonly lengthBytes: number
  settle(hasRoom: boolean): void
}

/**
 * Who may append while the disk is behind: a write that would not fit its queue, or that of the journal, waits in line,
 * outside the queues, until there is room or its time is up. So a disk that hangs costs one timer per waiting request,
 * and nothing is appended that could not be queued.
 */
export class DiskGate {
  readonly #queues: readonly WriteQueue[]
  readonly #clock: Clock
  #waiting: GateWaiter[] = []
  #isWatching = false

  constructor(queues: readonly WriteQueue[], clock: Clock) {
    this.#queues = queues
    this.#clock = clock
  }

  /** Requests that wait for room. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Whether `lengthBytes` may be appended now. */
  hasRoom(lengthBytes: number): boolean {
    return this.#waiting.length === 0 && this.#fits(lengthBytes)
  }

  /**
   * Waits in line until `lengthBytes` may be appended, in the same turn as `settle(true)`, or until `timeoutMs`
   * have passed: then `settle(false)`.
   */
  wait(lengthBytes: number, timeoutMs: number, settle: (hasRoom: boolean) => void): void {
    const timer = this.#clock.setTimer(timeoutMs, () => {
      this.#waiting = this.#waiting.filter((other) => other !== waiter)
      settle(false)
    })
    const waiter: GateWaiter = {
      lengthBytes,
      settle: (hasRoom) => {
        timer.cancel()
        settle(hasRoom)
      },
    }
    this.#waiting.push(waiter)
    this.#watch()
  }

  #fits(lengthBytes: number): boolean {
    for (const queue of this.#queues) if (!hasRoom(queue, lengthBytes)) return false
    return true
  }

  /** At most one promise of a queue is out, however many wait. */
  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    const lengthBytes = this.#waiting[0]?.lengthBytes ?? 0
    const full = this.#queues.find((queue) => !hasRoom(queue, lengthBytes))
    const room = full === undefined ? Promise.resolve() : full.room()
    room.then(
      () => this.#serve(),
      () => this.#serve(),
    )
  }

  #serve(): void {
    this.#isWatching = false
    let served = 0
    while (this.#waiting.length > 0 && this.#fits(this.#waiting[0]!.lengthBytes)) {
      this.#waiting.shift()!.settle(true)
      served += 1
    }
    if (this.#waiting.length === 0) return
    if (served > 0) {
      this.#watch()
      return
    }
    // The disk has room, but not enough for a request this large, and says nothing between half full and empty.
    this.#isWatching = true
    this.#clock.setTimer(lookAgainMs, () => this.#serve())
  }
}

function hasRoom({ queuedBytes, maxQueuedBytes }: WriteQueue, lengthBytes: number): boolean {
  return queuedBytes === 0 || queuedBytes + lengthBytes + slackBytes <= maxQueuedBytes
}
