import { CorruptionError, EngineError, type EngineErrorName, toEngineError } from '../../model/errors.ts'
import type { Logger } from '../../model/logger.ts'
import type { EpochStart } from '../../raft.ts'
import type { Timer } from '../../runtime/clock.ts'
import type { Runtime } from '../../runtime/runtime.ts'
import { type BadRange, isAmong } from '../../segment/badRanges.ts'
import type { Log } from '../../segment/log.ts'
import type { LogDirectory } from '../../segment/logDirectory.ts'
import { MisfitError, UnwritableError } from '../../segment/mendChecks.ts'
import type { Mending } from '../../segment/mending.ts'
import type { Group } from '../group.ts'
import { decodeEpochStarts, decodeQuorum, encodeQuorum, noQuorum, stateKind } from '../groupStates.ts'
import { type GroupKey, groupKey } from '../transport.ts'
import { readVerified } from './readVerified.ts'
import { decodeRepair, decodeRepairAnswer, encodeRepair, encodeRepairAnswer } from './repairCalls.ts'
import { NobodyHasIt, StillDamaged } from './repairErrors.ts'
import { Suspects } from './suspects.ts'
import { VainRepairs } from './vainRepairs.ts'

/** What a replica asks for at a time, and gives at most. */
const maxBytes = 1 << 20
const callTimeoutMs = 5000
/** How long until what nobody could help with is tried again, at first and at most. */
const firstRetryMs = 500
const lastRetryMs = 5000
/** The same for what nobody who comes can help with: logs that cannot be opened again, and disks that do not keep what is written. */
const lastAloneMs = 30_000
/** Groups that are mended at the same time. */
const parallel = 4

/** Said by those that have other records there, or none. */
const lacks: ReadonlySet<EngineErrorName> = new Set(['offsetOutOfRange', 'invalidRecord'])

/** What was found and mended since the start. */
export interface RepairCounts {
  /** Damaged ranges that were found. */
  readonly found: number
  readonly mended: number
  readonly mendedBytes: number
  /** Attempts that came to nothing, for now. */
  readonly failed: number
}

/** What repairs need of their host. */
export interface RepairWorld {
  readonly runtime: Runtime
  readonly nodeId: number
  readonly logs: LogDirectory
  readonly logger: Logger
  /** The groups by key. */
  readonly groups: ReadonlyMap<GroupKey, Group>
  call(to: number, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array>
  /** The log of a replica that was out of use has been opened again; without its end, if it may have forgotten that. */
  reopened(group: Group, mayHaveForgotten: boolean): Promise<void>
  /** How long a read has to fail before it is taken for damage; 30 s by default. */
  readonly readPatienceMs?: number | undefined
}

/**
 * Takes what is damaged on this node from other replicas while the groups go on, and gives others what they miss. Whoever finds
 * damage puts it into the directory's `badRanges`. A replica that is damaged hands leadership over first.
 */
export class Repairs {
  readonly #world: RepairWorld
  readonly #attempts = new Map<GroupKey, { count: number; dueMs: number; isAlone: boolean }>()
  readonly #running = new Map<GroupKey, Promise<void>>()
  readonly #suspects: Suspects
  #timer: Timer | null = null
  readonly #vain = new VainRepairs()
  #isClosed = false
  #counts = { found: 0, mended: 0, mendedBytes: 0, failed: 0 }

  constructor(world: RepairWorld) {
    this.#world = world
    const { badRanges } = world.logs
    const { onFound } = badRanges
    badRanges.onFound = (range) => {
      onFound?.(range)
      this.#found(range)
    }
    const { clock } = world.runtime
    const { logger, readPatienceMs: patienceMs } = world
    this.#suspects = new Suspects({ clock, logger, patienceMs, logOf: (file) => this.#helpedLog(file) })
    badRanges.onUnreadable = (file) => this.#suspects.note(file)
  }

  /** What was done since the start. */
  get counts(): RepairCounts {
    return this.#counts
  }

  /** A replica may have something to mend: it has been opened, leads, or has somebody to ask. */
  look(group: Group): void {
    if (!this.#isDamaged(group)) return
    group.noteDamage()
    this.#handOver(group)
    // Nobody who comes can help a log that has everything and cannot be opened.
    if (this.#attempts.get(group.key)?.isAlone !== true) this.#attempts.delete(group.key)
    this.#begin()
  }

  /** Whether a replica that is out of use may be in use again soon. */
  mayMend(group: Group): boolean {
    return group.voters.voters.size > 1 && this.#isDamaged(group)
  }

  /** The answer to what another node asks for. */
  async answer(payload: Uint8Array): Promise<Uint8Array> {
    try {
      return encodeRepairAnswer(await this.#give(payload))
    } catch (error) {
      return encodeRepairAnswer(toEngineError(error, 'unknownServerError', 'a repair'))
    }
  }

  /** Begins nothing more; resolves once nothing is under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#suspects.close()
    await Promise.all(this.#running.values())
  }

  #found(range: BadRange): void {
    this.#counts.found++
    const group = this.#groupOf(range.file)
    if (group === null) return
    group.damaged(range)
    // Whoever has found it goes on first.
    queueMicrotask(() => this.look(group))
  }

  #groupOf(file: string): Group | null {
    for (const group of this.#world.groups.values())
      if (file.startsWith(`${group.log.directory}/`)) return group
    return null
  }

  /** The log of a file, if there is somebody to take from what it lacks. */
  #helpedLog(file: string): Log | null {
    const group = this.#groupOf(file)
    return group === null || group.failure !== null || this.#helpers(group).length === 0 ? null : group.log
  }

  async #give(payload: Uint8Array): Promise<Uint8Array> {
    const { groups, runtime } = this.#world
    const request = decodeRepair(payload)
    const group = groups.get(groupKey(request))
    if (group === undefined) throw new EngineError('unknownTopicOrPartition', 'there is no such replica')
    const { fromOffset } = request
    const toOffset = Math.min(
      request.toOffset,
      request.committedOnly === 1 ? group.highWatermark : Number.MAX_SAFE_INTEGER,
    )
    try {
      const most = Math.min(request.maxBytes, maxBytes)
      return await readVerified(group.log, runtime.checksum, fromOffset, toOffset, most)
    } catch (error) {
      if (error instanceof CorruptionError) await group.look(fromOffset).catch(() => false)
      throw error
    }
  }

  /** Whether something of a replica can be mended: while it is in use, or before it is. */
  #isDamaged({ log }: Group): boolean {
    if (log.offline === null) return log.damage.length > 0
    return log.offline instanceof CorruptionError && this.#world.logs.reopening(log) !== null
  }

  /** Which epoch wrote what, where the journal knows; in the metadata log the records say so themselves. */
  #epochsOf({ log, spec }: Group): readonly EpochStart[] | null {
    const stored = spec.kind === 'partition' ? this.#world.logs.stateOf(log, stateKind.epochs) : null
    return stored === null ? null : decodeEpochStarts(stored)
  }

  /** Others lead as well, and can read what this one cannot. */
  #handOver(group: Group): void {
    if (group.state === 'leader' && group.voters.voters.size > 1) group.transferLeadership().catch(() => {})
  }

  #begin(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#isClosed) return
    const nowMs = this.#world.runtime.clock.monotonicMs()
    let nextMs = Number.POSITIVE_INFINITY
    for (const group of this.#world.groups.values()) {
      if (!this.#isDamaged(group) || this.#running.has(group.key)) continue
      const dueMs = this.#attempts.get(group.key)?.dueMs ?? 0
      if (dueMs > nowMs) nextMs = Math.min(nextMs, dueMs)
      else if (this.#running.size < parallel) this.#start(group)
    }
    if (nextMs === Number.POSITIVE_INFINITY) return
    this.#timer = this.#world.runtime.clock.setTimer(Math.ceil(nextMs - nowMs), () => this.#begin())
    this.#timer.detach?.()
  }

  #start(group: Group): void {
    const { key } = group
    const running = this.#mendAll(group).then(
      () => {
        this.#attempts.delete(key)
        group.noteDamage()
      },
      (error) => this.#putOff(group, error),
    )
    this.#running.set(
      key,
      running.then(() => {
        this.#running.delete(key)
        this.#begin()
      }),
    )
  }

  #putOff(group: Group, error: unknown): void {
    const { logger, runtime } = this.#world
    const count = (this.#attempts.get(group.key)?.count ?? 0) + 1
    const isAlone = error instanceof StillDamaged || error instanceof UnwritableError
    const delayMs = Math.min(isAlone ? lastAloneMs : lastRetryMs, firstRetryMs * 2 ** (count - 1))
    const dueMs = runtime.clock.monotonicMs() + delayMs
    this.#attempts.set(group.key, { count, dueMs, isAlone })
    this.#counts.failed++
    this.#handOver(group)
    // Nobody else has it, now: told once in a while.
    if (count % 10 !== 1) return
    const { topic, partition } = group.ref
    logger.warn('damaged records could not be mended yet', { topic, partition, error: String(error) })
  }

  async #mendAll(group: Group): Promise<void> {
    if (group.log.offline !== null) {
      await this.#mendOffline(group)
      return
    }
    const ranges = group.log.damage
    for (const range of ranges) {
      if (this.#isClosed || group.failure !== null) return
      // Its file may have been written again as a whole: at that place there is something else now.
      if (isAmong(group.log.damage, range)) await this.#mend(group, range)
    }
    // Not at once and for ever.
    if (ranges.length > 0 && ranges.every((range) => isAmong(group.log.damage, range)))
      throw new EngineError('corruptLog', 'what was damaged is damaged as before')
  }

  async #mendOffline(group: Group): Promise<void> {
    const { logs, reopened } = this.#world
    const reopen = logs.reopening(group.log)
    if (reopen === null) return
    const endOffset = await this.#fillOffline(group)
    if (endOffset !== null) await this.#giveUp(group, endOffset)
    const log = await reopen(endOffset)
    if (endOffset !== null && log.offline === null) await log.forgetBeyondEnd()
    await reopened(group, endOffset !== null)
    if (group.log.offline !== null) throw new StillDamaged(group.log.offline)
  }

  /** Resolves with where the log ends now, if its end was given up. */
  async #fillOffline(group: Group): Promise<number | null> {
    const misfits = new Set<string>()
    let endOffset: number | null = null
    let mendings = await group.log.mendOffline(this.#epochsOf(group), misfits)
    for (let index = 0; index < mendings.length; index++) {
      const mending = mendings[index]!
      try {
        await this.#fill(group, mending)
      } catch (error) {
        if (error instanceof MisfitError && !misfits.has(error.file)) {
          // More of the file is not what it was than it seemed: good batches of another log may stand in it.
          misfits.add(error.file)
          mendings = await group.log.mendOffline(this.#epochsOf(group), misfits)
          index = -1
          continue
        }
        if (!(error instanceof NobodyHasIt) || mending.fromOffset < group.log.logStartOffset) throw error
        endOffset = mending.fromOffset
        await mending.giveUp?.()
      }
    }
    return endOffset
  }

  /**
   * The end of a log is damaged, and nobody else has what was there. It may have been claimed: the replica becomes, durably and before
   * anything else, one that may have forgotten, so that it neither votes nor counts until it has caught up.
   */
  async #giveUp(group: Group, endOffset: number): Promise<void> {
    const { logs, logger } = this.#world
    const { topic, partition } = group.ref
    logger.error('the damaged end of a log is given up: nobody else has it; the replica catches up first', {
      topic,
      partition,
      logEndOffset: endOffset,
    })
    const bytes = logs.stateOf(group.log, stateKind.quorum)
    const { quorum, highWatermark } = bytes === null ? noQuorum : decodeQuorum(bytes)
    const quarantine = quorum.quarantine === 'none' ? 'forgotten' : quorum.quarantine
    const changed = encodeQuorum({
      quorum: { ...quorum, quarantine },
      highWatermark: Math.min(highWatermark, endOffset),
    })
    await logs.putState(group.log, stateKind.quorum, changed)
  }

  async #mend(group: Group, range: BadRange): Promise<void> {
    try {
      if (this.#vain.isVain(range) && (await this.#mendWhole(group, range))) return
      await this.#fill(group, await group.log.mending(range))
    } catch (error) {
      group.log.noteUnreadable(error, range.file)
      if (error instanceof UnwritableError) await this.#mendElsewhere(group, range, error)
      else if (error instanceof MisfitError) await this.#fill(group, await group.log.mending(range, true))
      else throw error
    }
  }

  /** False where the segment cannot be written again as a whole, since it is the active one. */
  async #mendWhole(group: Group, range: BadRange): Promise<boolean> {
    try {
      await this.#fill(group, await group.log.mending(range, true))
      this.#vain.forget(range.file)
      return true
    } catch (error) {
      if (error instanceof MisfitError) return false
      throw error
    }
  }

  /** The disk does not keep what is written in its place: a new file may lie where it does. */
  async #mendElsewhere(group: Group, range: BadRange, failure: UnwritableError): Promise<void> {
    const { logger } = this.#world
    logger.warn('the segment is written into a new file', { file: range.file, error: failure.message })
    try {
      await this.#fill(group, await group.log.mending(range, true))
    } catch (cause) {
      throw new UnwritableError(range.file, toEngineError(cause, 'diskFailed', 'a new file'))
    }
  }

  async #fill(group: Group, mending: Mending | null): Promise<void> {
    if (mending === null) return
    const { file, position, fromOffset, toOffset } = mending
    let bytes = 0
    while (!mending.isOver) {
      if (this.#isClosed) throw new EngineError('closed', 'the host is being closed')
      bytes += await this.#takeNext(group, mending)
    }
    this.#counts.mended++
    this.#counts.mendedBytes += bytes
    const { topic, partition } = group.ref
    this.#world.logger.info('damaged records were taken from another replica and are served again', {
      topic,
      partition,
      file,
      position,
      bytes,
      baseOffset: fromOffset,
      lastOffset: toOffset - 1,
    })
    group.repaired({ file, position, bytes, baseOffset: fromOffset, nextOffset: toOffset })
  }

  /** Takes the next batches from whoever has them; their bytes. */
  async #takeNext(group: Group, mending: Mending): Promise<number> {
    const { call } = this.#world
    const { topicId, partition } = group.ref
    const { fromOffset, toOffset } = mending
    const committedOnly = mending.isCommittedOnly ? 1 : 0
    const payload = encodeRepair({ topicId, partition, fromOffset, toOffset, maxBytes, committedOnly })
    let failure: unknown = new EngineError('brokerNotAvailable', 'there is no other replica')
    let lacking = 0
    for (const node of this.#helpers(group)) {
      try {
        const records = decodeRepairAnswer(await call(node, payload, callTimeoutMs))
        await mending.take(records)
        return records.length
      } catch (error) {
        if (error instanceof MisfitError || error instanceof UnwritableError) throw error
        failure = error
        const isLacking = error instanceof EngineError && lacks.has(error.code)
        lacking += isLacking ? 1 : 0
      }
    }
    // Others may yet come that have it; but whoever leads without this replica has all that counts.
    if (mending.isEnd && lacking > 0) throw new NobodyHasIt(failure)
    throw failure
  }

  /** Whoever may have what is missing here: the leader first. */
  #helpers(group: Group): number[] {
    const { nodeId } = this.#world
    const ids = [group.leaderId, ...group.voters.voters.voters.map(({ id }) => id)]
    return [...new Set(ids)].filter((id) => id >= 0 && id !== nodeId)
  }
}
