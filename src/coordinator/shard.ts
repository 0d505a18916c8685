import { assert } from '../model/assert.ts'
import { type EngineError, toEngineError } from '../model/errors.ts'
import type { KafkaErrorName } from '../model/kafkaErrors.ts'
import type { Logger } from '../model/logger.ts'
import type { Timer } from '../runtime/clock.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { GroupCoordinatorConfig } from './coordinatorConfig.ts'
import type { GroupEvent } from './events.ts'
import { Group, restoreGroup } from './group.ts'
import { newGroupData, type Token } from './groupData.ts'
import { loadOffsets } from './offsetsLoader.ts'
import type { OffsetsRecord } from './offsetsRecords.ts'
import type { OffsetsReign } from './offsetsReign.ts'
import { OffsetsWriter, type WriterStart } from './offsetsWriter.ts'
import type { Effect } from './turn.ts'

/** Timers of the runtime go no further than this; a later deadline is looked at again on the way. */
const maxTimerMs = 2_147_483_647

/** What a shard needs of its coordinator. */
export interface ShardOptions {
  readonly partition: number
  readonly config: GroupCoordinatorConfig
  readonly logger: Logger
  /** Called once for every request, with what it is to be answered. */
  readonly answer: (token: Token<unknown>, response: unknown) => void
  /** Called when what is remembered cannot be relied on any more: the shard has to be unloaded and read anew. */
  readonly lost: () => void
}

/** A group and the one timer that it has while it waits for anything. */
interface Entry {
  readonly group: Group
  timer: Timer | null
  timerAtMs: number
}

/**
 * The groups of one partition of `__consumer_offsets`, during one reign of this node. Feeds them events, carries out what they
 * ask for, in order, and wakes them at their deadlines. No request is served before the log was read; once the reign is
 * over everybody who waits is sent away and nothing happens to the groups any more.
 */
export class Shard {
  readonly reign: OffsetsReign
  /** Resolves when the log was read, or could not be, or need not be any more. */
  readonly loaded: Promise<void>
  readonly #runtime: Runtime
  readonly #options: ShardOptions
  readonly #entries = new Map<string, Entry>()
  #state: 'loading' | 'ready' | 'failed' | 'closed' = 'loading'
  #writer: OffsetsWriter | null = null
  #settleLoad: () => void = () => {}
  /** Exclusive end of what is to be read. */
  readonly #end: number | Promise<number>
  /** Topics that were deleted while the log was read. */
  readonly #deletedMeanwhile = new Set<string>()

  constructor(runtime: Runtime, reign: OffsetsReign, options: ShardOptions) {
    this.#runtime = runtime
    this.reign = reign
    this.#options = options
    this.loaded = new Promise((resolve) => {
      this.#settleLoad = resolve
    })
    const end = reign.begin()
    this.#end = end
    if (end === reign.logStartOffset) this.#begin({ endOffset: end, sizeBytes: 0 })
    else if (typeof end !== 'number') end.catch(() => {}) // Whoever loads sees it.
  }

  /** Why requests cannot be served now, or null: 14 while the log is read, 15 when that failed, 16 once closed. */
  get refusal(): KafkaErrorName | null {
    if (this.#state === 'loading') return 'coordinatorLoadInProgress'
    if (this.#state === 'failed') return 'coordinatorNotAvailable'
    return this.#state === 'closed' ? 'notCoordinator' : null
  }

  /** Whether the log could not be read. */
  get hasFailed(): boolean {
    return this.#state === 'failed'
  }

  /** Reads the log and rebuilds its groups; their sessions begin anew. Never rejects: a failure is `refusal`. */
  async load(): Promise<void> {
    if (this.#state === 'loading') await this.#load()
    this.#settleLoad()
  }

  async #load(): Promise<void> {
    const { partition, logger } = this.#options
    const report = (offset: number, error: EngineError): void => {
      logger.error('a damaged record of an offsets log was left out', {
        partition,
        offset,
        error: error.message,
      })
    }
    try {
      const endOffset = await this.#end
      const { groups, sizeBytes } = await loadOffsets(this.#runtime, this.reign, endOffset, report)
      if (this.#state !== 'loading') return // Closed meanwhile.
      this.#begin({ endOffset, sizeBytes })
      for (const [groupId, { metadata, offsets }] of groups) {
        const data = restoreGroup(groupId, metadata, offsets)
        this.#step(groupId, this.#add(groupId, new Group(data, this.#options.config)), { type: 'loaded' })
      }
      this.topicsDeleted(this.#deletedMeanwhile)
    } catch (cause) {
      if (this.#state !== 'loading') return
      this.#state = 'failed'
      const error = toEngineError(cause, 'diskFailed', 'an offsets log cannot be read')
      if (error.code === 'notLeaderOrFollower') return // Whoever leads now reads it.
      logger.error('the groups of an offsets log are not served: it cannot be read', {
        partition,
        error: error.message,
      })
    }
  }

  /** The group, or undefined. */
  group(groupId: string): Group | undefined {
    return this.#entries.get(groupId)?.group
  }

  /** All groups. */
  *groups(): Generator<Group> {
    for (const { group } of this.#entries.values()) yield group
  }

  /** Feeds `event` to the group; `create` makes one that is not there. False if there is none. */
  send(groupId: string, event: GroupEvent, create = false): boolean {
    assert(this.#state === 'ready')
    let entry = this.#entries.get(groupId)
    if (entry === undefined) {
      if (!create) return false
      const data = newGroupData(groupId, this.#runtime.clock.wallMs())
      entry = this.#add(groupId, new Group(data, this.#options.config))
    }
    this.#step(groupId, entry, event)
    return true
  }

  /** Forgets what was committed for topics that are gone; what is still to be read, once it was. */
  topicsDeleted(topics: ReadonlySet<string>): void {
    if (this.#state === 'loading') for (const topic of topics) this.#deletedMeanwhile.add(topic)
    else if (topics.size > 0) this.sendToAll({ type: 'topicsDeleted', topics })
  }

  /** Feeds `event` to every group. */
  sendToAll(event: GroupEvent): void {
    if (this.#state !== 'ready') return
    for (const [groupId, entry] of [...this.#entries]) this.#step(groupId, entry, event)
  }

  /**
   * The reign is over: sends away (16) whoever waits for anything. What was handed to the log may be there or not, and
   * nobody here is told; nothing is written or answered after this.
   */
  unload(): void {
    if (this.#state === 'closed') return
    this.#writer?.stop()
    this.sendToAll({ type: 'unloaded' })
    this.#state = 'closed'
    this.#settleLoad()
    for (const entry of this.#entries.values()) disarm(entry)
    this.#entries.clear()
  }

  /** Answers whoever waits, stops all timers and resolves once what was handed to the log has ended. */
  async close(): Promise<void> {
    this.sendToAll({ type: 'closed' })
    this.#state = 'closed'
    this.#settleLoad()
    for (const entry of this.#entries.values()) disarm(entry)
    await this.#writer?.idle()
    for (const entry of this.#entries.values()) disarm(entry)
  }

  #begin(start: WriterStart): void {
    const { config, logger } = this.#options
    this.#writer = new OffsetsWriter(this.#runtime, this.reign, {
      config,
      logger,
      start,
      lost: (error) => this.#lost(error),
      live: { groupIds: () => [...this.#entries.keys()], records: (groupId) => this.#liveRecords(groupId) },
    })
    this.#state = 'ready'
    this.#settleLoad()
  }

  /** A failure here means that another node leads, or is about to. */
  #lost(error: EngineError): void {
    const { partition, logger, lost } = this.#options
    logger.warn('a write to an offsets log may be there or not: its groups are read anew', {
      partition,
      error: error.message,
    })
    lost()
  }

  #add(groupId: string, group: Group): Entry {
    const entry: Entry = { group, timer: null, timerAtMs: Infinity }
    this.#entries.set(groupId, entry)
    return entry
  }

  #step(groupId: string, entry: Entry, event: GroupEvent): void {
    const { clock } = this.#runtime
    const now = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() }
    for (const effect of entry.group.step(event, now)) this.#carryOut(groupId, entry, effect)
    if (this.#entries.get(groupId) !== entry) return
    if (entry.group.isTraceless) this.#remove(groupId, entry)
    // A heartbeat only moves a deadline further away; the timer finds that out when it fires.
    else if (event.type !== 'heartbeat') this.#arm(groupId, entry)
  }

  #carryOut(groupId: string, entry: Entry, effect: Effect): void {
    switch (effect.type) {
      case 'answer':
        this.#options.answer(effect.token, effect.response)
        return
      case 'persist':
        this.#writer!.append(effect.records, (error) => {
          const { writeId } = effect
          if (error === null) this.#step(groupId, entry, { type: 'persisted', writeId })
          else this.#writeFailed(groupId, entry, writeId, error)
        })
        return
      case 'remove':
        this.#remove(groupId, entry)
        return
      case 'log':
        this.#options.logger.debug(effect.message, effect.fields)
    }
  }

  #writeFailed(groupId: string, entry: Entry, writeId: number, error: EngineError): void {
    this.#options.logger.warn('a record of a group could not be stored', {
      group: groupId,
      error: error.message,
    })
    this.#step(groupId, entry, { type: 'persistFailed', writeId, code: error.code })
  }

  #remove(groupId: string, entry: Entry): void {
    disarm(entry)
    this.#entries.delete(groupId)
  }

  #arm(groupId: string, entry: Entry): void {
    if (this.#state === 'closed') return
    const atMs = entry.group.nextDeadlineMs
    if (atMs === Infinity) {
      disarm(entry)
      return
    }
    if (entry.timer !== null && entry.timerAtMs <= atMs) return
    disarm(entry)
    const delayMs = Math.min(Math.max(atMs - this.#runtime.clock.monotonicMs(), 0), maxTimerMs)
    entry.timerAtMs = atMs
    entry.timer = this.#runtime.clock.setTimer(Math.ceil(delayMs), () => {
      entry.timer = null
      this.#step(groupId, entry, { type: 'timeout' })
    })
  }

  #liveRecords(groupId: string): OffsetsRecord[] {
    const data = this.#entries.get(groupId)?.group.data
    const records: OffsetsRecord[] = []
    if (data === undefined) return records
    if (data.durable !== null) records.push({ type: 'group', groupId, value: data.durable })
    for (const [topic, partitions] of data.offsets) {
      for (const [partition, value] of partitions)
        records.push({ type: 'offset', groupId, topic, partition, value })
    }
    return records
  }
}

function disarm(entry: Entry): void {
  entry.timer?.cancel()
  entry.timer = null
  entry.timerAtMs = Infinity
}
