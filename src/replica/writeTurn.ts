import type { Disk } from '../runtime/disk.ts'
import type { Log } from '../segment/log.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import { WriteGroup } from '../segment/writeGroup.ts'

/** A state of a log that is to be written, and who wants to know what became of it. */
interface PendingState {
  readonly kind: number
  bytes: Uint8Array
  readonly told: ((error: unknown) => void)[]
}

/**
 * Everything that all groups of a node write in one turn of the event loop, handed over together: one frame of the journal,
 * one fdatasync. States come first in it, appends after them.
 */
export class WriteTurn {
  readonly #logs: LogDirectory
  readonly #disk: Disk
  #states = new Map<Log, PendingState[]>()
  /** Those whose completion waits for a sync stand apart from those that need none. */
  #durable: WriteGroup | null = null
  #relaxed: WriteGroup | null = null
  #isScheduled = false

  constructor(logs: LogDirectory, disk: Disk) {
    this.#logs = logs
    this.#disk = disk
  }

  /** The group that appends of this turn belong to. */
  group(isDurable: boolean): WriteGroup {
    this.#schedule()
    if (isDurable) {
      this.#durable ??= new WriteGroup(this.#disk, () => this.submit())
      return this.#durable
    }
    this.#relaxed ??= new WriteGroup(this.#disk, () => this.submit())
    return this.#relaxed
  }

  /**
   * Writes a state, in place of what was put for the same log and kind in this turn. `told` is called once, with null when it
   * is durable, else with why it will not be.
   */
  putState(log: Log, kind: number, bytes: Uint8Array, told: (error: unknown) => void): void {
    this.#schedule()
    const states = this.#states.get(log)
    if (states === undefined) {
      this.#states.set(log, [{ kind, bytes, told: [told] }])
      return
    }
    const earlier = states.find((state) => state.kind === kind)
    if (earlier === undefined) {
      states.push({ kind, bytes, told: [told] })
    } else {
      earlier.bytes = bytes
      earlier.told.push(told)
    }
  }

  /** Hands over what there is. */
  submit(): void {
    this.#isScheduled = false
    const states = this.#states
    const groups = [this.#durable, this.#relaxed]
    this.#states = new Map()
    this.#durable = null
    this.#relaxed = null
    for (const [log, ofLog] of states) {
      for (const { kind, bytes, told } of ofLog) {
        const tell = (error: unknown): void => {
          for (const each of told) each(error)
        }
        this.#logs.putState(log, kind, bytes).then(() => tell(null), tell)
      }
    }
    // What goes wrong the logs hear themselves.
    for (const group of groups) group?.submit().catch(() => {})
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      if (this.#isScheduled) this.submit()
    })
  }
}
