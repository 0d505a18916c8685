import type { Logger } from '../model/logger.ts'
import type { AlarmCode } from '../raft.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { GroupAlarm } from './groupTypes.ts'
import type { GroupRef } from './transport.ts'

/** How long alarms are gathered from the first one on. Milliseconds. */
const gatherMs = 500
/** Replicas that a line names at most. */
const maxNames = 5

interface Gathered extends GroupAlarm {
  readonly names: string[]
  count: number
}

/**
 * Writes the alarms of the replicas of a node: what befalls many of them at once, such as a disk that was put back, is one line
 * with their number and some names. Each by itself is at debug level.
 */
export class AlarmLog {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #gathered = new Map<AlarmCode, Gathered>()
  #timer: Timer | null = null

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** A replica raises an alarm. */
  raise({ topic, partition }: GroupRef, { code, id, offset, detail }: GroupAlarm): void {
    this.#logger.debug('a replica raises an alarm', { topic, partition, code, id, offset, detail })
    let found = this.#gathered.get(code)
    if (found === undefined) {
      found = { code, id, offset, detail, names: [], count: 0 }
      this.#gathered.set(code, found)
    }
    found.count += 1
    if (found.names.length < maxNames) found.names.push(`${topic}-${partition}`)
    this.#timer ??= this.#clock.setTimer(gatherMs, () => this.flush())
  }

  /** Writes what has been gathered. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = null
    for (const { code, count, names, id, offset, detail } of this.#gathered.values()) {
      const fields = { code, replicas: names.join(', '), id, offset, detail }
      if (count === 1) this.#logger.error('a replica raises an alarm', fields)
      else
        this.#logger.error('replicas raise an alarm; offset and detail are of the first', {
          count,
          ...fields,
        })
    }
    this.#gathered.clear()
  }
}
