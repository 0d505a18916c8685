import { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { ActiveController, CommandOutcome } from './activeController.ts'
import { BrokerSessions } from './brokerSessions.ts'
import type { BrokerChange, Command, Registration } from './commands.ts'
import type { MetadataImage } from './image.ts'

/** What a broker says again and again. */
export interface Heartbeat {
  readonly brokerId: number
  readonly brokerEpoch: number
  /** Exclusive end of the metadata that it has. */
  readonly offset: number
  /** It is about to shut down. */
  readonly wantsShutdown: boolean
  /** It has shut down: nothing more will be heard. */
  readonly leaves: boolean
}

/** What it is told. */
export interface BeatAnswer {
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
  /** Whoever has applied everything below it sees that. */
  readonly offset: number
}

/** What looking after brokers needs. */
export interface BrokerKeeperOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly image: MetadataImage
  readonly active: () => ActiveController
  readonly sessionTimeoutMs: number
}

/** How often in a session it is looked whether it has ended. */
const looksPerSession = 6

/**
 * Looks after the brokers while this node is the active controller: who registers, who is alive, who is fenced. A broker that comes
 * again with the directory of the registered one takes its place at once, since only one process can have that; with another
 * directory only when the registered one is not heard of any more. Source: KIP-631.
 */
export class BrokerKeeper {
  readonly #options: BrokerKeeperOptions
  readonly #sessions: BrokerSessions
  readonly #lookMs: number
  #timer: Timer | null = null

  constructor(options: BrokerKeeperOptions) {
    this.#options = options
    this.#sessions = new BrokerSessions(options.sessionTimeoutMs)
    this.#lookMs = Math.max(1, Math.floor(options.sessionTimeoutMs / looksPerSession))
  }

  /** This node has begun to decide, or has ended. */
  activeChanged(isActive: boolean): void {
    const { clock, image } = this.#options
    this.#timer?.cancel()
    this.#timer = null
    if (!isActive) return
    this.#sessions.reset(
      [...image.brokers.values()].filter(({ fenced }) => !fenced),
      clock.monotonicMs(),
    )
    this.#lookLater()
  }

  /** Carries out a command of a node of the cluster. */
  async run<C extends Command>(command: C, validateOnly: boolean): Promise<CommandOutcome<C>> {
    const active = this.#options.active()
    if (command.type !== 'enrolBroker') return active.run(command, validateOnly)
    await active.whenReady()
    this.#checkTwin(command.registration)
    const outcome = await active.run(command)
    const { brokerId } = command.registration
    this.#sessions.heard(brokerId, outcome.result as number, this.#options.clock.monotonicMs())
    return outcome
  }

  /**
   * Takes a heartbeat, and unfences a broker that has seen its own registration. Rejects with `NotLeaderError`,
   * `brokerIdNotRegistered`, and `staleBrokerEpoch` when another registration has taken the place of this one.
   */
  async heartbeat({ brokerId, brokerEpoch, offset, wantsShutdown, leaves }: Heartbeat): Promise<BeatAnswer> {
    const { image, clock } = this.#options
    const active = this.#options.active()
    await active.whenReady()
    const known = image.brokers.get(brokerId)
    if (known === undefined) throw new EngineError('brokerIdNotRegistered', `there is no broker ${brokerId}`)
    if (known.epoch !== brokerEpoch) {
      throw new EngineError('staleBrokerEpoch', `broker ${brokerId} has been registered anew since`)
    }
    const change: BrokerChange = {
      brokerId,
      brokerEpoch,
      ...(leaves
        ? { fenced: true }
        : known.fenced && !wantsShutdown && offset > brokerEpoch
          ? { fenced: false }
          : {}),
      ...(wantsShutdown && !known.inControlledShutdown ? { inControlledShutdown: true } : {}),
    }
    if (leaves) this.#sessions.end(brokerId)
    else this.#sessions.heard(brokerId, brokerEpoch, clock.monotonicMs())
    let at = 0
    if (change.fenced !== undefined || change.inControlledShutdown) {
      at = (await active.run({ type: 'changeBrokers', changes: [change] })).offset
    }
    const { fenced, inControlledShutdown } = image.brokers.get(brokerId) ?? known
    return { fenced, inControlledShutdown, offset: at }
  }

  /** Looks after nobody any more. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #checkTwin({ brokerId, incarnationId, directories }: Registration): void {
    const { image, clock } = this.#options
    const known = image.brokers.get(brokerId)
    if (known === undefined || known.incarnationId === incarnationId) return
    const isSameDirectory = directories.some((directory) => known.directories.includes(directory))
    if (isSameDirectory || !this.#sessions.isLive(brokerId, known.epoch, clock.monotonicMs())) return
    throw new EngineError(
      'duplicateBrokerRegistration',
      `there is a broker ${brokerId} already, which is alive and has another directory`,
    )
  }

  #lookLater(): void {
    this.#timer = this.#options.clock.setTimer(this.#lookMs, () => {
      this.#lookLater()
      this.#look()
    })
  }

  #look(): void {
    const { clock, image, logger } = this.#options
    const changes: BrokerChange[] = []
    for (const { brokerId, brokerEpoch } of this.#sessions.takeExpired(clock.monotonicMs(), this.#lookMs)) {
      const known = image.brokers.get(brokerId)
      if (known === undefined || known.epoch !== brokerEpoch || known.fenced) continue
      logger.warn('a broker is not heard of any more and is fenced', { brokerId })
      changes.push({ brokerId, brokerEpoch, fenced: true })
    }
    if (changes.length === 0) return
    this.#options
      .active()
      .run({ type: 'changeBrokers', changes })
      // Whoever leads next begins with sessions of its own.
      .catch((error) => logger.debug('brokers could not be fenced', { error: String(error) }))
  }
}
