import { EngineError, toEngineError } from '../model/errors.ts'
import type { Logger } from '../model/logger.ts'
import { zeroUuid } from '../model/uuid.ts'
import type { Voter } from '../raft.ts'
import type { Group } from '../replica/group.ts'
import type { NodeRouter } from '../replica/nodes/nodeRouter.ts'
import type { ReplicaHost } from '../replica/replicaHost.ts'
import { type GroupKey, groupKey } from '../replica/transport.ts'
import type { LogDirectory } from '../segment/logDirectory.ts'
import { isRoomError } from '../segment/logRepair.ts'
import { engineDefaults, type LogSettings, resolveSettings } from './logSettings.ts'
import type { NodeChannels } from './nodeEvents.ts'
import type { OpenPartition, ReachedPartition } from './nodePartition.ts'
import { DistantGroup } from './nodePlacement.ts'
import type { PartitionEntry } from './nodeRegistry.ts'

/** How long until a voter change that was refused is tried again. */
const retryMs = 300

/** What the groups of a node need. */
export interface GroupsOptions {
  readonly nodeId: number
  readonly host: ReplicaHost
  readonly logs: LogDirectory
  readonly metadata: Group
  readonly router: NodeRouter
  readonly logger: Logger
  readonly channels: NodeChannels
  readonly defaults: LogSettings
  /** A replica is open. */
  opened(partition: OpenPartition): void
}

/**
 * The replicas that this node has of the partitions that the registry knows: of each that is not placed elsewhere. Whoever leads
 * one makes its voters those of the metadata log, as far as they have a place, one at a time.
 */
export class NodeGroups {
  readonly #options: GroupsOptions
  readonly #open = new Map<GroupKey, OpenPartition>()
  /** Partitions that other nodes have alone. */
  readonly #distant = new Map<GroupKey, ReachedPartition>()
  readonly #placements = new Map<GroupKey, readonly number[]>()
  /** What is being done with the log of a name: one thing after the other. */
  readonly #turns = new Map<string, Promise<void>>()
  /** Partitions that have been removed; their topics' ids never come again. */
  readonly #removed = new Set<GroupKey>()
  readonly #failed = new Map<GroupKey, EngineError>()
  readonly #waiting = new Map<GroupKey, Set<() => void>>()
  readonly #reconciling = new Set<GroupKey>()
  #isClosed = false
  /** Called for every partition that is removed. */
  onRemoved: (entry: PartitionEntry) => void = () => {}

  constructor(options: GroupsOptions) {
    this.#options = options
    options.metadata.watch({ voters: () => this.#reconcileAll() })
    announce(options.metadata, options)
  }

  /** Replicas that are open. */
  get open(): readonly OpenPartition[] {
    return [...this.#open.values()]
  }

  /** The replica of a group, if it is open. */
  get(key: GroupKey): OpenPartition | null {
    return this.#open.get(key) ?? null
  }

  /** Who leads a partition as far as this node knows, -1 for nobody. */
  leaderOf(entry: PartitionEntry): number {
    const key = groupKey(entry)
    return this.#open.get(key)?.group.leaderId ?? this.#distant.get(key)?.led.leaderId ?? -1
  }

  /** The registry has these partitions too. */
  added(entries: readonly PartitionEntry[]): void {
    for (const entry of entries) {
      const key = groupKey(entry)
      const { placement } = entry
      if (placement !== null) this.#placements.set(key, placement)
      if (placement !== null && !placement.includes(this.#options.nodeId)) {
        const settings = resolveSettings({ ...this.#options.defaults, ...entry.settings }, engineDefaults)
        this.#distant.set(key, {
          led: new DistantGroup(placement),
          group: null,
          topicId: entry.topicId,
          settings,
        })
        this.#wake(key)
      } else this.#inTurn(entry, () => this.#openOne(entry))
    }
  }

  /** The registry has these partitions no longer: their replicas leave, and their logs go. */
  removed(entries: readonly PartitionEntry[]): void {
    for (const entry of entries) {
      const key = groupKey(entry)
      this.#removed.add(key)
      this.#distant.delete(key)
      this.#placements.delete(key)
      this.#wake(key)
      this.onRemoved(entry)
      this.#inTurn(entry, () => this.#remove(entry))
    }
  }

  /** Resolves once everything that was begun with partitions of a topic is done. */
  async settled(topic: string): Promise<void> {
    const names = [...this.#turns.keys()].filter((name) => name.slice(0, name.lastIndexOf('-')) === topic)
    await Promise.all(names.map((name) => this.#turns.get(name)))
  }

  /** Resolves once the replica of `entry` is open, or others have it; rejects when it cannot be opened. */
  async whenOpen(entry: PartitionEntry): Promise<ReachedPartition> {
    const key = groupKey(entry)
    for (;;) {
      const open = this.#open.get(key) ?? this.#distant.get(key)
      if (open !== undefined) return open
      const failed = this.#failed.get(key)
      if (failed !== undefined) throw failed
      if (this.#isClosed) throw new EngineError('closed', 'the node has been closed')
      if (this.#removed.has(key)) {
        throw new EngineError('unknownTopicOrPartition', `${entry.topic} has been removed`)
      }
      await new Promise<void>((resolve) => {
        const waiters = this.#waiting.get(key) ?? new Set()
        this.#waiting.set(key, waiters.add(resolve))
      })
    }
  }

  /** Opens nothing more; resolves once what is being opened is. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const key of [...this.#waiting.keys()]) this.#wake(key)
    await Promise.all(this.#turns.values())
  }

  #inTurn({ topic, partition }: PartitionEntry, body: () => Promise<void>): void {
    const name = `${topic}-${partition}`
    const before = this.#turns.get(name) ?? Promise.resolve()
    const turn = before.then(body).finally(() => {
      if (this.#turns.get(name) === turn) this.#turns.delete(name)
    })
    this.#turns.set(name, turn)
  }

  async #remove(entry: PartitionEntry): Promise<void> {
    const { topic, partition, topicId } = entry
    const { logs, logger } = this.#options
    const key = groupKey(entry)
    const group = this.#open.get(key)?.group
    this.#open.delete(key)
    this.#failed.delete(key)
    try {
      if (this.#isClosed) return
      await group?.close()
      if (logs.logs.get(`${topic}-${partition}`)?.topicId === topicId) await logs.deleteLog(topic, partition)
    } catch (cause) {
      const { message } = toEngineError(cause, 'diskFailed', 'the log could not be deleted')
      logger.error('the log of a partition that was removed stays', { topic, partition, error: message })
    } finally {
      this.#removed.delete(key)
    }
  }

  async #openOne(entry: PartitionEntry): Promise<void> {
    while (!this.#removed.has(groupKey(entry)) && !(await this.#tryToOpen(entry)))
      await this.#options.router.pause(retryMs)
  }

  /** False when there was no room for it, so that it is to be tried again. */
  async #tryToOpen(entry: PartitionEntry): Promise<boolean> {
    const { host, metadata, defaults, logger } = this.#options
    const { topic, partition, topicId, replicas } = entry
    const key = groupKey(entry)
    try {
      const settings = resolveSettings({ ...defaults, ...entry.settings }, engineDefaults)
      const known = new Map(metadata.voters.voters.voters.map((voter) => [voter.id, voter]))
      const voters = replicas.map(({ id, directoryId }): Voter => {
        const endpoints = known.get(id)?.endpoints ?? []
        return { id, directoryId, endpoints, minVersion: 0, maxVersion: 1 }
      })
      if (this.#isClosed) return true
      await this.#makeRoom(entry)
      const group = await host.openGroup({
        topic,
        partition,
        topicId,
        kind: 'partition',
        config: settings.config,
        voters,
        bootstrapIds: [...(entry.placement ?? known.keys())],
      })
      const opened = { led: group, group, topicId, settings }
      this.#open.set(key, opened)
      this.#options.opened(opened)
      announce(group, this.#options)
      group.watch({
        leadership: () => this.#reconcile(key, group),
        voters: () => this.#reconcile(key, group),
      })
      this.#reconcile(key, group)
    } catch (cause) {
      const error = toEngineError(cause, 'diskFailed', `${topic}-${partition} could not be opened`)
      if (isRoomError(error) && !this.#isClosed) {
        logger.warn('a replica finds no room, or no descriptor, and is opened later', {
          topic,
          partition,
          error: error.message,
        })
        return false
      }
      this.#failed.set(key, error)
      if (!this.#isClosed)
        logger.error('a replica could not be opened', { topic, partition, error: error.message })
    }
    this.#wake(key)
    return true
  }

  /** A log of an earlier topic of the name, which nobody has told this node to remove, keeps its records under another name. */
  async #makeRoom({ topic, partition, topicId }: PartitionEntry): Promise<void> {
    const { logs, logger } = this.#options
    const found = logs.logs.get(`${topic}-${partition}`)
    if (found === undefined || found.topicId === topicId) return
    const keptAs = (await logs.setAside(topic, partition)) ?? ''
    logger.warn('a log of an earlier topic has made room for one of the same name', {
      topic,
      partition,
      keptAs,
    })
  }

  #wake(key: GroupKey): void {
    const waiters = this.#waiting.get(key) ?? []
    this.#waiting.delete(key)
    for (const wake of waiters) wake()
  }

  #reconcileAll(): void {
    for (const [key, { group }] of this.#open) this.#reconcile(key, group)
  }

  /** Makes the voters of a group that this node leads those of the metadata log. */
  #reconcile(key: GroupKey, group: Group): void {
    if (this.#isClosed || this.#reconciling.has(key) || this.#nextChange(group) === null) return
    this.#reconciling.add(key)
    void this.#changeVoters(group).finally(() => {
      this.#reconciling.delete(key)
    })
  }

  async #changeVoters(group: Group): Promise<void> {
    const { router, logger } = this.#options
    // What has made this necessary is under way itself.
    await Promise.resolve()
    while (!this.#isClosed) {
      const change = this.#nextChange(group)
      if (change === null) return
      try {
        if (change.type === 'add') await group.addVoter(change.voter)
        else await group.removeVoter(change.voter)
      } catch (error) {
        const { topic, partition } = group.ref
        logger.debug('a voter cannot be changed yet', {
          topic,
          partition,
          [change.type]: change.voter.id,
          error: String(error),
        })
        await router.pause(retryMs)
      }
    }
  }

  /** What has to change first; null when nothing has to, or somebody else leads. */
  #nextChange(group: Group): { readonly type: 'add' | 'remove'; readonly voter: Voter } | null {
    if (group.state !== 'leader' || group.failure !== null) return null
    const all = this.#options.metadata.voters.voters.voters
    const placement = this.#placements.get(group.key)
    const wanted = placement === undefined ? all : all.filter(({ id }) => placement.includes(id))
    const present = group.voters.voters.voters
    // A static set says nothing of directories yet.
    if (wanted.length === 0 || wanted.some(({ directoryId }) => directoryId === zeroUuid)) return null
    const isIn = (voters: readonly Voter[], { id, directoryId }: Voter): boolean =>
      voters.some((other) => other.id === id && other.directoryId === directoryId)
    const gone = present.filter((voter) => !isIn(wanted, voter))
    // The leader goes last: until then it can see to the others.
    const removed = gone.find(({ id }) => id !== this.#options.nodeId) ?? gone[0]
    // A node with a new directory can only come once its former self has gone.
    const added = wanted.find((voter) => !isIn(present, voter) && !present.some(({ id }) => id === voter.id))
    if (added !== undefined) return { type: 'add', voter: added }
    return removed === undefined ? null : { type: 'remove', voter: removed }
  }
}

/** Tells what happens to a group. */
function announce(group: Group, { nodeId, channels }: GroupsOptions): void {
  const { topic, partition } = group.ref
  const of = { nodeId, topic, partition }
  group.watch({
    leadership: (state, leaderEpoch, leaderId) => {
      if (channels.leadership.hasSubscribers) {
        channels.leadership.publish({ ...of, state, leaderEpoch, leaderId })
      }
    },
    voters: ({ voters }) => {
      if (channels.voters.hasSubscribers) {
        channels.voters.publish({ ...of, voters: voters.voters.map(({ id }) => id) })
      }
    },
    damaged: ({ file, position, baseOffset, nextOffset }) => {
      if (!channels.repair.hasSubscribers) return
      channels.repair.publish({ ...of, what: 'found', file, position, baseOffset, nextOffset })
    },
    repaired: ({ file, position, baseOffset, nextOffset }) => {
      if (!channels.repair.hasSubscribers) return
      channels.repair.publish({ ...of, what: 'mended', file, position, baseOffset, nextOffset })
    },
    alarm: ({ code, detail }) => {
      if (channels.alarm.hasSubscribers) channels.alarm.publish({ ...of, code, detail })
    },
    snapshotInstalled: ({ endOffset }) => {
      if (channels.snapshot.hasSubscribers) {
        channels.snapshot.publish({ ...of, origin: 'fetched', endOffset, error: null })
      }
    },
  })
}
