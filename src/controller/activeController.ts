import { assert } from '../model/assert.ts'
import { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { encodeMetadataRecord, type MetadataRecordInput } from '../protocol/metadataRecords/metadataRecord.ts'
import type { Group } from '../replica/group.ts'
import type { MachineRunner } from '../replica/machineRunner.ts'
import { NotLeaderError } from '../replica/notLeader.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { encodeBatch } from '../segment/records.ts'
import { type BatchLimits, changeBatches, maxBatchBytes, maxBatchRecords } from './changes.ts'
import type { Command, CommandResults, CreatedTopic, DecisionContext } from './commands.ts'
import { decide } from './decide.ts'
import { bootstrapFeatures } from './decideCluster.ts'
import type { ImageMachine } from './imageMachine.ts'

/** What deciding needs of the node. */
export interface ActiveControllerOptions {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly group: Group
  readonly machine: ImageMachine
  readonly runner: MachineRunner
  /** What decisions are made with, beside the image. */
  context(): DecisionContext
  /** Lowers the bounds of a batch, for tests. */
  readonly batchLimits?: Partial<BatchLimits> | undefined
  /** This node has begun to decide, or has ended. */
  activeChanged(isActive: boolean): void
}

/** What a command has come to. */
export interface CommandOutcome<C extends Command = Command> {
  readonly result: CommandResults[C['type']]
  /** Whoever has applied everything below it sees what the command did. */
  readonly offset: number
}

/**
 * Decides on commands while this node leads the metadata log: one at a time, each on an image that has all before it, and in one
 * epoch. A new leader begins once it has applied all that earlier ones have left in its log, and has ended what they left open.
 * Commands reject with `NotLeaderError` where nothing was done; with `notEnoughReplicasAfterAppend` when leadership was lost after
 * the change was appended: nobody knows whether it will be.
 */
export class ActiveController {
  readonly #options: ActiveControllerOptions
  readonly #limits: BatchLimits
  readonly #unwatch: () => void
  /** Ends when the last command given has. */
  #tail: Promise<unknown> = Promise.resolve()
  /** The epoch in which this node decides, -1 while it does not. */
  #epoch = -1
  #ready: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: ActiveControllerOptions) {
    this.#options = options
    this.#limits = {
      batchBytes: options.batchLimits?.batchBytes ?? maxBatchBytes,
      batchRecords: options.batchLimits?.batchRecords ?? maxBatchRecords,
    }
    const { group } = options
    this.#unwatch = group.watch({ leadership: () => this.#leadershipChanged() })
    this.#leadershipChanged()
  }

  /** Whether this node decides. */
  get isActive(): boolean {
    return this.#epoch >= 0 && this.#epoch === this.#options.group.leaderEpoch
  }

  /** Resolves once this node has taken up what others have left, if it leads. Rejects with `NotLeaderError`. */
  async whenReady(): Promise<void> {
    const epoch = this.#epoch
    if (epoch < 0) throw new NotLeaderError(this.#options.group.leaderId)
    await this.#ready
    this.#checkEpoch(epoch)
  }

  /** Carries out `command` after all commands before it, whatever became of those. */
  async run<C extends Command>(command: C, validateOnly = false): Promise<CommandOutcome<C>> {
    const outcome = this.#tail.then(() => this.#carryOut(command, validateOnly))
    this.#tail = outcome.catch(() => {})
    return outcome
  }

  /** Decides nothing more; resolves once what is under way has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#unwatch()
    this.#end()
    await this.#tail
  }

  #leadershipChanged(): void {
    const { group } = this.#options
    const epoch = group.state === 'leader' ? group.leaderEpoch : -1
    if (epoch === this.#epoch) return
    this.#end()
    if (epoch < 0 || this.#isClosed) return
    this.#epoch = epoch
    this.#ready = this.#begin(epoch)
    this.#ready.catch((error) => {
      if (error instanceof NotLeaderError || this.#epoch !== epoch || this.#isClosed) return
      // Somebody else may be able to.
      this.#options.logger.error('this node cannot begin to decide, and hands over', { error: String(error) })
      group.transferLeadership().catch(() => {})
    })
  }

  #end(): void {
    if (this.#epoch < 0) return
    this.#epoch = -1
    this.#options.activeChanged(false)
  }

  /** Takes up what the leaders before have left. */
  async #begin(epoch: number): Promise<void> {
    const { group, machine, runner, logger } = this.#options
    // What is appended in this epoch comes from here alone, so that this is all there is. The group's end, not the log's, which is
    // behind it while writes wait for their turn.
    await runner.whenApplied(group.endOfEpoch(epoch).endOffset)
    this.#checkEpoch(epoch)
    if (machine.isInTransaction) {
      const reason = 'the controller was lost before it had written the whole change'
      await this.#append([{ type: 'abortTransactionRecord', version: 0, reason }], epoch)
    }
    if (machine.image.features.size === 0) {
      const first = { type: 'bootstrapCluster', features: bootstrapFeatures } as const
      await this.#append(decide(machine.image, first, this.#options.context()).records, epoch)
    }
    this.#checkEpoch(epoch)
    logger.info('this node is the active controller', { epoch })
    this.#options.activeChanged(true)
  }

  async #carryOut<C extends Command>(command: C, validateOnly: boolean): Promise<CommandOutcome<C>> {
    const { group, machine, runner } = this.#options
    const epoch = this.#epoch
    if (epoch < 0) throw new NotLeaderError(group.leaderId)
    await this.#ready
    this.#checkEpoch(epoch)
    assert(!machine.isInTransaction, 'a change is decided upon what is whole')
    machine.reached(runner.applied)
    const { records, result } = decide(machine.image, command, this.#options.context())
    if (validateOnly || records.length === 0) {
      // What there is to know must be what the cluster agrees on, and not the past of a leader that nobody follows any more.
      const offset = await group.readIndex()
      return { result, offset }
    }
    const offset = await this.#append(records, epoch)
    if (command.type === 'createTopics') this.#warnOfPairs(result as CommandResults['createTopics'])
    return { result, offset }
  }

  #warnOfPairs(outcomes: CommandResults['createTopics']): void {
    const pairs = outcomes.filter(
      (outcome) => !(outcome instanceof EngineError) && outcome.replicationFactor === 2,
    )
    if (pairs.length === 0) return
    const names = pairs.map((topic) => (topic as CreatedTopic).name)
    this.#options.logger.warn(pairWarning, { topics: names.slice(0, 10).join(' '), count: names.length })
  }

  /** Resolves with the offset after the change once it is committed and this node's image has it. */
  async #append(records: readonly MetadataRecordInput[], epoch: number): Promise<number> {
    const { group, runner, runtime } = this.#options
    const timestampMs = runtime.clock.wallMs()
    const values = records.map((record) => encodeMetadataRecord(record))
    const batches = changeBatches(values, this.#limits, group.log.config.maxMessageBytes).map((batch) =>
      encodeBatch(
        { records: batch.map((value) => ({ key: null, value, headers: [], timestampMs })) },
        runtime.checksum,
      ),
    )
    const ack = await group.append(Buffer.concat(batches), { acks: 'all', leaderEpoch: epoch })
    await runner.whenApplied(ack.lastOffset + 1)
    return ack.lastOffset + 1
  }

  #checkEpoch(epoch: number): void {
    const { group } = this.#options
    if (this.#epoch === epoch && group.state === 'leader' && group.leaderEpoch === epoch) return
    throw new NotLeaderError(group.state === 'leader' ? -1 : group.leaderId)
  }
}

/** What whoever creates a topic with two replicas should know. */
export const pairWarning =
  'a topic with two replicas keeps two copies, but cannot be written to while one of them is away: three can'

/** What to answer where an `EngineError` says that nobody knows what became of a change: the client has to look. */
export function unknownOutcome(error: unknown): unknown {
  const code = error instanceof EngineError ? error.code : ''
  if (code !== 'notEnoughReplicasAfterAppend' && code !== 'networkException') return error
  return new EngineError(
    'requestTimedOut',
    'the active controller was lost: nobody knows yet whether it was done',
    {
      cause: error,
    },
  )
}
