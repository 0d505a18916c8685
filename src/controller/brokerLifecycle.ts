import { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { MachineRunner } from '../replica/machineRunner.ts'
import type { NodeRouter } from '../replica/nodes/nodeRouter.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { foreignCluster } from './askFirst.ts'
import type { BeatAnswer } from './brokerKeeper.ts'
import type { Registration } from './commands.ts'
import type { QuorumMetadata } from './quorumMetadata.ts'

/** What belonging to a cluster as a broker needs. */
export interface LifecycleOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly metadata: QuorumMetadata
  readonly runner: MachineRunner
  readonly router: NodeRouter
  readonly registration: Registration
  readonly heartbeatIntervalMs: number
  readonly sessionTimeoutMs: number
  /** Why there is no use in going on; null while there is. */
  objection(): EngineError | null
  /** The broker has no place in the cluster any more. */
  lost(error: EngineError): void
}

/** How long until the next attempt to register. */
const retryMs = 100
/** After how many milliseconds of waiting it is said what is waited for, again and again. */
const sayMs = 5000
/** A heartbeat that is not answered for so long is lost, or twice the interval if that is longer. */
const leastAnswerMs = 1000
/** Errors after which asking again is of no use. */
const fatal = new Set(['rebootstrapRequired', 'invalidRegistration', 'unsupportedVersion'])

/** One broker's place in the cluster, as it sees to it itself: registered, alive, on its way out. Source: KIP-631. */
export class BrokerLifecycle {
  readonly #options: LifecycleOptions
  #epoch = -1
  #answer: BeatAnswer = { fenced: true, inControlledShutdown: false, offset: 0 }
  #wantsShutdown = false
  #isClosed = false
  #timer: Timer | null = null
  #beating: Promise<void> = Promise.resolve()

  constructor(options: LifecycleOptions) {
    this.#options = options
  }

  /** The epoch of the registration, -1 before there is one. */
  get epoch(): number {
    return this.#epoch
  }

  /**
   * Registers, for as long as it takes; resolves once clients may be sent here. Rejects with `duplicateBrokerRegistration` while
   * another process is that broker, with `inconsistentClusterId`, `closed`.
   */
  async join(): Promise<void> {
    const { router, logger } = this.#options
    let waitedMs = 0
    this.#sayLater()
    try {
      while (this.#answer.fenced && !this.#isClosed) {
        try {
          if (this.#epoch < 0) await this.#register()
          await this.#beat()
          if (!this.#answer.fenced) break
        } catch (error) {
          this.#throwIfFatal(error, waitedMs)
          logger.debug('this broker is not registered yet', { error: String(error) })
        }
        await router.pause(retryMs)
        waitedMs += retryMs
      }
    } finally {
      this.#timer?.cancel()
    }
    if (this.#isClosed) throw new EngineError('closed', 'the broker has been closed')
    this.#beatLater()
    await this.#options.runner.whenApplied(this.#answer.offset)
  }

  /** Says that the broker is about to go, so that nothing new is placed on it; resolves once that is known, or nobody answers. */
  async beginShutdown(timeoutMs: number): Promise<void> {
    const { clock, router } = this.#options
    this.#wantsShutdown = true
    if (this.#epoch < 0) return
    const endMs = clock.monotonicMs() + timeoutMs
    while (!this.#answer.inControlledShutdown && !router.isClosed && clock.monotonicMs() < endMs) {
      await this.#beat(endMs - clock.monotonicMs()).catch(() => {})
      if (!this.#answer.inControlledShutdown) await router.pause(retryMs)
    }
  }

  /** Says good-bye, if anybody hears it. */
  async close(timeoutMs: number): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    // Nobody may be there to answer it any more.
    await Promise.race([this.#beating, this.#options.router.pause(timeoutMs)])
    if (this.#epoch >= 0) await this.#send(true, timeoutMs).catch(() => {})
  }

  /** Says again and again what is waited for. */
  #sayLater(): void {
    const { clock, logger, metadata } = this.#options
    this.#timer = clock.setTimer(sayMs, () => {
      const { controllerId } = metadata
      const what = controllerId < 0 ? 'a majority of the controllers' : 'the active controller'
      logger.info(`waiting for ${what} to take this broker up`, { controller: controllerId })
      this.#sayLater()
    })
  }

  async #register(): Promise<void> {
    const { metadata, registration } = this.#options
    this.#epoch = await metadata.run({ type: 'enrolBroker', registration }, {}, true)
  }

  async #beat(withinMs = Number.POSITIVE_INFINITY): Promise<void> {
    const answerMs = Math.max(leastAnswerMs, 2 * this.#options.heartbeatIntervalMs)
    this.#answer = await this.#send(false, Math.min(answerMs, withinMs))
  }

  #send(leaves: boolean, timeoutMs: number): Promise<BeatAnswer> {
    const { metadata, runner, registration } = this.#options
    return metadata.heartbeat(
      {
        brokerId: registration.brokerId,
        brokerEpoch: this.#epoch,
        offset: runner.applied,
        wantsShutdown: this.#wantsShutdown,
        leaves,
      },
      timeoutMs,
    )
  }

  #beatLater(): void {
    if (this.#isClosed) return
    this.#timer = this.#options.clock.setTimer(this.#options.heartbeatIntervalMs, () => {
      this.#beating = this.#beatOnce().finally(() => this.#beatLater())
    })
  }

  async #beatOnce(): Promise<void> {
    const { logger, lost, registration } = this.#options
    try {
      await this.#beat()
    } catch (error) {
      const code = error instanceof EngineError ? error.code : ''
      if (code === 'brokerIdNotRegistered') {
        logger.warn('this broker was unregistered, and registers anew')
        this.#epoch = -1
        await this.#register().catch(() => {})
      } else if (code === 'staleBrokerEpoch') {
        this.#isClosed = true
        const text = `another process has registered as broker ${registration.brokerId}: one of them has to go`
        lost(new EngineError('duplicateBrokerRegistration', text))
      } else logger.debug('a heartbeat was not answered', { error: String(error) })
    }
  }

  #throwIfFatal(error: unknown, waitedMs: number): void {
    const { sessionTimeoutMs, metadata } = this.#options
    const { clusterId } = metadata.image
    const code = error instanceof EngineError ? error.code : ''
    const objection = this.#options.objection()
    if (objection !== null) throw objection
    if (code === 'inconsistentClusterId') throw foreignCluster(clusterId)
    if (fatal.has(code)) throw error
    // The former process of this broker may have been lost without a word: then its session ends by itself.
    if (code === 'duplicateBrokerRegistration' && waitedMs > 2 * sessionTimeoutMs) throw error
    if (code === 'brokerIdNotRegistered' || code === 'staleBrokerEpoch') this.#epoch = -1
  }
}
