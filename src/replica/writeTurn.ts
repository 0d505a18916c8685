import type { Disk } from '../runtime/disk.ts'
import type { Log } from '../segment/log.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import { TurnEnd } from '../segment/turnEnd.ts'
import { WriteGroup } from '../segment/writeGroup.ts'

/** How often a turn lets the microtasks that are queued run first. */
const patience = 6
/** Bytes of appends at which they are handed over before the turn is over. */
const fullBytes = 128 << 10

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
  /** To be done just before everything is handed over. */
  #last: (() => void)[] = []
  readonly #turnEnd = new TurnEnd(patience, () => this.submit())
  /** Bytes of appends so far. */
  #bytes = 0

  constructor(logs: LogDirectory, disk: Disk) {
    this.#logs = logs
    this.#disk = disk
  }

  /** Calls `run` when the turn is over: it sees all that was appended in it. */
  atEnd(run: () => void): void {
    this.#schedule()
    this.#last.push(run)
  }

  /** The group that an append of so many bytes belongs to. */
  group(isDurable: boolean, bytes: number): WriteGroup {
    // What is much begins its way at once, so that others work on it while the rest is appended.
    if (this.#bytes >= fullBytes) this.submit()
    this.#bytes += bytes
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
    this.#bytes = 0
    for (const run of this.#last.splice(0)) run()
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
    this.#turnEnd.added()
    this.#turnEnd.schedule()
  }
}
