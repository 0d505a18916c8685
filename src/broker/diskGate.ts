import type { Clock } from '../runtime/clock.ts'
import type { Disk } from '../runtime/disk.ts'

/** Beyond the bytes of the batches: what the log may add of its own. */
const slackBytes = 64 * 1024
const lookAgainMs = 5

interface GateWaiter {
  readonly lengthBytes: number
  settle(hasRoom: boolean): void
}

/**
 * Who may append while the disk is behind: a write that would not fit its queue waits in line, outside the
 * queue, until there is room or its time is up. So a disk that hangs costs one timer per waiting request, and
 * nothing is appended that could not be queued.
 */
export class DiskGate {
  readonly #disk: Disk
  readonly #clock: Clock
  #waiting: GateWaiter[] = []
  #isWatching = false

  constructor(disk: Disk, clock: Clock) {
    this.#disk = disk
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
    const { queuedBytes, maxQueuedBytes } = this.#disk
    return queuedBytes === 0 || queuedBytes + lengthBytes + slackBytes <= maxQueuedBytes
  }

  /** At most one promise of the disk is out, however many wait. */
  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    this.#disk.room().then(
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
