import { EngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import type { SnapshotId } from '../raft.ts'
import { MachineRunner } from '../replica/machineRunner.ts'
import { CallKind } from '../replica/nodes/nodeCalls.ts'
import { abortable } from '../replica/nodes/nodeRouter.ts'
import { BatchWriter } from '../segment/batchWriter.ts'
import type { BatchHeader } from '../segment/recordBatch.ts'
import { decodeRecords } from '../segment/records.ts'
import { encodeInput, maxBatchBytes } from './encodeInput.ts'
import { LogRecord, type RecordInput } from './logRecord.ts'
import { chunksOf, type MachineState } from './nodeChunks.ts'
import type { OpenPartition, PartitionHost } from './nodePartition.ts'

/** Where a command stands that a machine is given. */
export interface ApplyContext {
  readonly offset: number
  readonly leaderEpoch: number
  /** The time that its proposer gave it, milliseconds since 1970: the same on every node. */
  readonly timestampMs: number
}

/**
 * A deterministic state machine: the same commands in the same order give the same state on every node. `apply` may look at
 * nothing but the state and the command: no clock, no randomness, no files.
 */
export interface StateMachine<Result = unknown> {
  /**
   * Takes a committed command: each once, in the order of the log, after what `restore` brought. What it returns is what
   * `propose` resolves with. It is synchronous. If it throws, the machine stops on this node, with the error as the cause.
   */
  apply(command: LogRecord, context: ApplyContext): Result
  /**
   * The state as chunks of bytes or text. Called between two commands. What is given at once (a chunk, an array, a generator) is
   * taken at once; an asynchronous generator is read while commands go on being applied, so it has to be of a copy or of a view
   * that does not change.
   */
  snapshot(): MachineState
  /** Replaces the state by that of a snapshot: the chunks that it was given as, in their order. */
  restore(chunks: AsyncIterable<Uint8Array>): void | Promise<void>
}

/** How a machine is kept. */
export interface MachineOptions {
  /** Bytes of commands after which a snapshot is taken. Default 16 MiB. */
  readonly snapshotBytes?: number | undefined
  /** Commands before a snapshot that stay in the log, so that a node that was away for a moment needs no snapshot. Default 10 000. */
  readonly keptRecords?: number | undefined
}

/** How a proposal is made. */
export interface ProposeOptions {
  /** Gives up while it waits for a leader; once it is under way it is not called back. Rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

/** How a read is made. */
export interface MachineReadOptions {
  /** Reads the state of this node as it is, without asking anybody: never wrong, perhaps of a while ago. */
  readonly stale?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a machine needs of its node. */
export interface MachineHost extends PartitionHost {
  readonly logger: Logger
  /** The machine stands still. */
  failed(name: string, error: EngineError): void
  snapshotTaken(name: string, id: SnapshotId, error: EngineError | null): void
}

/** A command on its way into a batch. */
interface Proposal {
  readonly command: RecordInput
  readonly signal: AbortSignal | undefined
  resolve(result: unknown): void
  reject(error: unknown): void
}

interface Running extends OpenPartition {
  readonly runner: MachineRunner
}

const defaultSnapshotBytes = 16 << 20
const defaultKeptRecords = 10_000
/** Commands and bytes of commands of one turn that share a batch. */
const mostTogether = 1000
const mostBytesTogether = 256 << 10

/** A state machine on a group of its own: the replica of it that this node has. */
export class NodeMachine<Result = unknown> {
  readonly name: string
  readonly #host: MachineHost
  readonly #start: () => Promise<Running>
  #starting: Promise<Running> | null = null
  #running: Running | null = null
  #proposals: Proposal[] = []
  #isSending = false
  /** Reads that wait for the next round. */
  #reads: { resolve(): void; reject(error: unknown): void }[] = []
  #isReading = false

  /** Made by `Node.stateMachine`. Throws `invalidConfig`. */
  constructor(name: string, machine: StateMachine<Result>, options: MachineOptions, host: MachineHost) {
    const { snapshotBytes = defaultSnapshotBytes, keptRecords = defaultKeptRecords } = options
    for (const method of ['apply', 'snapshot', 'restore'] as const) {
      if (typeof machine?.[method] !== 'function') {
        throw new EngineError('invalidConfig', `a state machine has a function ${method}`)
      }
    }
    if (!Number.isSafeInteger(snapshotBytes) || snapshotBytes < 1) {
      throw new EngineError('invalidConfig', 'snapshotBytes has to be a whole number of 1 or more')
    }
    if (!Number.isSafeInteger(keptRecords) || keptRecords < 0) {
      throw new EngineError('invalidConfig', 'keptRecords has to be a whole number of 0 or more')
    }
    this.name = name
    this.#host = host
    this.#start = () => this.#run(machine, snapshotBytes, keptRecords)
    this.#started().catch(() => {})
  }

  /**
   * Resolves once this node has a replica and has taken up what it knew before. Rejects with the reason why it cannot:
   * `corruptLog` for a damaged snapshot, `machineFailed` for what the machine throws, `leaderNotAvailable`, `replicaNotAvailable`
   * where other nodes have its partition. Calls wait by themselves.
   */
  async ready(): Promise<this> {
    await this.#started()
    return this
  }

  /** Who leads, as far as this node knows; -1 for nobody. */
  get leaderId(): number {
    return this.#running?.group.leaderId ?? -1
  }

  /** Exclusive end of the commands that were applied on this node. */
  get applied(): number {
    return this.#running?.runner.applied ?? 0
  }

  /** Why the machine stands still on this node; null while it does not. */
  get failed(): EngineError | null {
    return this.#running?.runner.ended ?? null
  }

  /**
   * Has a command committed and applied; resolves with what `apply` returned for it on this node. A command is text, bytes (its
   * value then) or a record. Commands of one turn go together.
   *
   * A command that is proposed twice is applied twice. After a rejection with `networkException`, `requestTimedOut` or
   * `notEnoughReplicasAfterAppend` nobody knows whether it will be applied: put an id into commands that may not be, and have
   * `apply` remember those it has seen. Other rejections, with nothing proposed: `messageTooLarge`, `leaderNotAvailable`,
   * `machineFailed`, `closed`, the reason of `signal`.
   */
  propose(command: string | Uint8Array | RecordInput, options: ProposeOptions = {}): Promise<Result> {
    const record: RecordInput =
      typeof command === 'string' || command instanceof Uint8Array ? { value: command } : command
    const result = new Promise<unknown>((resolve, reject) => {
      this.#proposals.push({ command: record, signal: options.signal, resolve, reject })
      if (this.#isSending) return
      this.#isSending = true
      queueMicrotask(() => {
        this.#isSending = false
        void this.#send()
      })
    }) as Promise<Result>
    return this.#running === null ? abortable(result, options.signal) : result
  }

  /**
   * Calls `look` with a state that has everything in it that was acknowledged anywhere before `read` was called: the leader has
   * made sure that it still is one, and this node has caught up with it. With `stale` the state is that of this node as it is.
   * `look` is synchronous; what it returns is what this resolves with.
   */
  async read<T>(look: () => T, options: MachineReadOptions = {}): Promise<T> {
    const { stale = false, signal } = options
    signal?.throwIfAborted()
    const { runner } = this.#running ?? (await abortable(this.#started(), signal))
    if (runner.ended !== null) throw runner.ended
    if (!stale) {
      const caughtUp = new Promise<void>((resolve, reject) => {
        this.#reads.push({ resolve, reject })
        void this.#readRounds()
      })
      await abortable(caughtUp, signal)
    }
    if (runner.ended !== null) throw runner.ended
    return look()
  }

  /** Takes a snapshot now; resolves with its place once it is durable and the log is cut. Null when nothing is new. */
  async takeSnapshot(): Promise<SnapshotId | null> {
    const { runner } = await this.#started()
    return runner.takeSnapshot()
  }

  /** Stops applying. */
  async close(): Promise<void> {
    const running = this.#running ?? (await this.#starting?.catch(() => null))
    await running?.runner.close()
  }

  /** The machine at work, as soon as it is. While there was no leader to ask it is begun again. */
  #started(): Promise<Running> {
    if (this.#running !== null) return Promise.resolve(this.#running)
    this.#starting ??= this.#start().catch((error) => {
      if (error instanceof EngineError && error.code === 'leaderNotAvailable') this.#starting = null
      throw error
    })
    return this.#starting
  }

  async #run(machine: StateMachine<Result>, snapshotBytes: number, keptRecords: number): Promise<Running> {
    const { runtime, logger } = this.#host
    const opened = await this.#host.open(this.name, 0)
    const { group } = opened
    if (group === null) {
      throw new EngineError('replicaNotAvailable', `this node has no replica of ${this.name} to run it on`)
    }
    const runner = new MachineRunner(group, this.#batchMachine(machine), {
      checksum: runtime.checksum,
      logger,
      name: this.name,
      kind: 'partition',
      snapshotBytes,
      keptRecords,
      failed: (error) => this.#host.failed(this.name, error),
      snapshotTaken: (id, error) => this.#host.snapshotTaken(this.name, id, error),
    })
    await runner.start()
    this.#running = { ...opened, group, runner }
    return this.#running
  }

  #batchMachine(machine: StateMachine<Result>) {
    const { codecs } = this.#host
    const decompress = (codec: number, body: Uint8Array): Uint8Array =>
      codecs.decompress(codec, body, maxBatchBytes)
    const apply = (header: BatchHeader, bytes: Uint8Array): readonly unknown[] => {
      const { partitionLeaderEpoch: leaderEpoch } = header
      return decodeRecords(bytes, makeRecord, decompress).map((command) => {
        const { offset, timestampMs } = command
        const result = machine.apply(command, { offset, leaderEpoch, timestampMs })
        if (result instanceof Promise) {
          result.catch(() => {})
          throw new TypeError('apply has to be synchronous: it returned a promise')
        }
        return result
      })
    }
    return {
      apply,
      snapshot: () => chunksOf(machine.snapshot()),
      restore: async (chunks: AsyncIterable<Uint8Array>) => machine.restore(chunks),
    }
  }

  /** Sends what was proposed in this turn, a batch at a time. */
  async #send(): Promise<void> {
    const waiting = this.#proposals
    this.#proposals = []
    let running: Running
    try {
      running = this.#running ?? (await this.#started())
    } catch (error) {
      for (const { reject } of waiting) reject(error)
      return
    }
    for (const batch of this.#batches(waiting, running)) void this.#sendBatch(batch, running)
  }

  /** Proposals that go together, with the bytes of their batch. What cannot be encoded is rejected. */
  *#batches(
    waiting: readonly Proposal[],
    { settings }: Running,
  ): Generator<{ readonly proposals: Proposal[]; readonly bytes: Uint8Array }> {
    const { runtime, codecs } = this.#host
    let together: Proposal[] = []
    let size = 0
    const encode = (proposals: Proposal[]) => ({
      proposals,
      bytes: encodeInput(
        proposals.map(({ command }) => command),
        settings,
        new BatchWriter(1024),
        runtime,
        codecs,
      ),
    })
    for (const proposal of waiting) {
      if (proposal.signal?.aborted) {
        proposal.reject(proposal.signal.reason)
        continue
      }
      try {
        size += encode([proposal]).bytes.length
      } catch (error) {
        proposal.reject(error)
        continue
      }
      if (together.length > 0 && (size > mostBytesTogether || together.length >= mostTogether)) {
        yield encode(together)
        together = []
        size = 0
      }
      together.push(proposal)
    }
    if (together.length > 0) yield encode(together)
  }

  async #sendBatch(
    { proposals, bytes }: { readonly proposals: Proposal[]; readonly bytes: Uint8Array },
    { group, runner }: Running,
  ): Promise<void> {
    const { outstandings } = runner
    const outstanding = outstandings.begin(runner.applied)
    try {
      if (runner.ended !== null) throw runner.ended
      const { topicId } = group.log
      const baseOffset = await this.#host.router.run({
        group,
        name: this.name,
        signal: proposals.length === 1 ? proposals[0]!.signal : undefined,
        repeatable: false,
        local: async () => (await group.append(bytes, { acks: 'all' })).baseOffset,
        request: {
          kind: CallKind.append,
          topicId,
          topic: this.name,
          partition: 0,
          acks: -1,
          records: bytes,
        },
        result: (answer) => answer.baseOffset,
      })
      await runner.whenApplied(baseOffset + proposals.length)
      for (let index = 0; index < proposals.length; index++) {
        const offset = baseOffset + index
        if (outstandings.has(offset)) proposals[index]!.resolve(outstandings.result(offset))
        else proposals[index]!.reject(unseen(this.name, offset))
      }
    } catch (error) {
      for (const { reject } of proposals) reject(error)
    } finally {
      outstandings.end(outstanding)
    }
  }

  /** Asks for a read index for all reads that wait, again and again while some do. */
  async #readRounds(): Promise<void> {
    if (this.#isReading) return
    this.#isReading = true
    // What is read in one turn shares a round.
    await Promise.resolve()
    while (this.#reads.length > 0) {
      const reads = this.#reads
      this.#reads = []
      try {
        const { group, runner } = this.#running!
        const { topicId } = group.log
        const index = await this.#host.router.run({
          group,
          name: this.name,
          repeatable: true,
          local: () => group.readIndex(),
          request: { kind: CallKind.readIndex, topicId, topic: this.name, partition: 0 },
          result: ({ baseOffset }) => baseOffset,
        })
        await runner.whenApplied(index)
        for (const { resolve } of reads) resolve()
      } catch (error) {
        for (const { reject } of reads) reject(error)
      }
    }
    this.#isReading = false
  }
}

/** The state of a machine that has come as a snapshot holds the command, but not what `apply` returned for it. */
function unseen(name: string, offset: number): EngineError {
  return new EngineError(
    'requestTimedOut',
    `the command at offset ${offset} of ${name} is committed; what came of it was in a snapshot and is not known`,
  )
}

const makeRecord = (...fields: ConstructorParameters<typeof LogRecord>): LogRecord => new LogRecord(...fields)
