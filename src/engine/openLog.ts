import { EngineError } from '../model/errors.ts'
import type { Log } from '../segment/log.ts'
import type { EngineChannels } from './events.ts'
import type { ResolvedSettings } from './logSettings.ts'

/** What the parts of the engine share of one log that is open: who waits for it, whether it is gone. */
export class OpenLog {
  readonly name: string
  readonly directory: string
  readonly log: Log
  settings: ResolvedSettings
  /** Why the log takes nothing any more; null while it does. */
  ended: EngineError | null = null
  readonly #followers = new Set<() => void>()

  constructor(
    name: string,
    directory: string,
    log: Log,
    settings: ResolvedSettings,
    channels: EngineChannels,
  ) {
    this.name = name
    this.directory = directory
    this.log = log
    this.settings = settings
    log.onFailure = (error) => {
      if (log.offline !== null && channels.logOffline.hasSubscribers) {
        channels.logOffline.publish({ directory, log: name, error })
      }
      this.wake()
    }
  }

  /** Calls `wake` once, when more is readable, the log has failed or has ended; at once if it has. */
  follow(wake: () => void): void {
    if (this.ended !== null) wake()
    else {
      this.#followers.add(wake)
      this.log.onAdvance = this.#wake
    }
  }

  /** Takes `follow` back. */
  unfollow(wake: () => void): void {
    this.#followers.delete(wake)
  }

  /** Wakes whoever follows the log. */
  wake(): void {
    // Most logs are followed by nobody: their appends need not look here.
    this.log.onAdvance = null
    if (this.#followers.size === 0) return
    const followers = [...this.#followers]
    this.#followers.clear()
    for (const follower of followers) follower()
  }

  readonly #wake = (): void => this.wake()

  /** The log takes nothing any more and its readers end. */
  end(reason: string): void {
    this.ended ??= new EngineError('closed', reason)
    this.wake()
  }
}
