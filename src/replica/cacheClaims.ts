import { isDurable } from '../model/flushPolicy.ts'
import type { Log } from '../segment/log.ts'
import type { LogConfig } from '../segment/logConfig.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import { stateKind } from './groupStates.ts'

/** Whether a replica may have claimed records that only the page cache had, as the journal says. */
export function hasClaimedCache(logs: LogDirectory, log: Log): boolean {
  return logs.stateOf(log, stateKind.cacheClaims)?.[0] === 1
}

/**
 * The note that a replica may claim records that only the page cache has: durable before the first such claim, and there until
 * everything is durable under a durable policy. So a policy that is changed while the replica is away hides nothing that it has
 * forgotten. Source: fault model, section 2.
 */
export class CacheClaims {
  readonly #logs: LogDirectory
  readonly #log: () => Log
  #wanted: LogConfig | null = null
  #stored: Promise<void> = Promise.resolve()

  constructor(logs: LogDirectory, log: () => Log) {
    this.#logs = logs
    this.#log = log
  }

  /** Gives the log another configuration: one with a relaxed policy once the note is durable, any other at once. */
  change(config: LogConfig): void {
    this.#wanted = config
    if (isDurable(config.flush)) {
      this.#log().updateConfig(config)
      // A log that cannot be synced fails by itself, and the note stays.
      this.settle().catch(ignored)
    } else {
      const apply = (): void => {
        if (this.#wanted === config) this.#log().updateConfig(config)
      }
      // Nor does one claim anything that cannot store this.
      this.note().then(apply, apply)
    }
  }

  /** Resolves when the note is durable. */
  note(): Promise<void> {
    const log = this.#log()
    if (!hasClaimedCache(this.#logs, log)) this.#stored = this.#put(log, 1)
    return this.#stored
  }

  /** Takes the note away once all that the log has is durable, unless its policy is a relaxed one by then. */
  async settle(): Promise<void> {
    const log = this.#log()
    if (!hasClaimedCache(this.#logs, log)) return
    await log.flush()
    if (isDurable(log.config.flush) && (this.#wanted === null || isDurable(this.#wanted.flush))) {
      await this.#put(log, 0)
    }
  }

  #put(log: Log, value: 0 | 1): Promise<void> {
    return this.#logs.putState(log, stateKind.cacheClaims, Uint8Array.of(value))
  }
}

function ignored(): void {}
